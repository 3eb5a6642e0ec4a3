internal import Adapters
internal import Checkpoints
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// Writes a decomposition's folder from the results of a plan's units.
struct DecompositionEmission {
  private let plan: ExtractionPlan
  private let versionText: String
  private let shardSize: Int

  init(_ plan: ExtractionPlan, version: String, shardSize: Int) {
    self.plan = plan
    versionText = version
    self.shardSize = shardSize
  }

  /// Writes all files of a folder that exists and holds nothing; they are durable when this returns.
  ///
  /// - Throws: `ExtractionError.identical` if no module changed, or what the device has against it.
  func write(_ journal: Journal, to folder: String) throws -> AdapterEmission.Records {
    let slots = zip(plan.modules, plan.layout.modules).map { DecompositionFile.Slot(module: $0.name, $1) }
    let numbers = Dictionary(uniqueKeysWithValues: plan.units.enumerated().map { ($1, $0) })
    let leftOut = try plan.leftOut.indices.map { index in
      var measure: DifferenceMeasure?
      if let number = numbers[.measure(leftOut: index)],
        case .measured(let found) = try journal.result(number)
      {
        measure = found
      }
      return LeftOutRecord(plan.leftOut[index], difference: measure)
    }
    let vectors = plan.vectors(changed: changedModules(leftOut))
    var file = DecompositionFile(
      folder: folder, modules: slots, vectors: vectors.map(\.vector).filter(\.isStored), shardSize: shardSize)
    var records: [ModuleRecord] = []
    var modules: [DecomposedModule] = []
    for (index, slot) in slots.enumerated() {
      guard let number = numbers[.decompose(module: index)],
        case .triplets(let record, let triplets) = try journal.result(number)
      else { preconditionFailure("a module came back without its triplets") }
      try file.write(triplets, of: slot)
      records.append(record)
      modules.append(DecomposedModule(record, triplets, plan.layout.modules[index]))
    }
    guard modules.contains(where: { $0.rank > 0 }) else { throw plan.nothingChanged(records, leftOut) }
    try write(vectors, to: &file)
    try file.finish()
    try writeDurably(
      encoded(record(modules, leftOut, vectors.map(\.vector))),
      to: folder + "/" + DecompositionFolder.recordFile)
    return AdapterEmission.Records(modules: records, leftOut: leftOut)
  }

  private func write(_ vectors: [(vector: ModelVector, pair: TensorPair)], to file: inout DecompositionFile)
    throws
  {
    let reader = DeltaReader()
    for (vector, pair) in vectors where vector.isStored {
      switch vector.kind {
      case .tuned: try file.write(vector.stored(reader.readBytes(pair.tuned)), of: vector)
      case .difference:
        try file.write(ElementType.f32.encode(reader.readDelta(pair).takeMatrix()), of: vector)
      }
    }
  }

  private func record(_ modules: [DecomposedModule], _ leftOut: [LeftOutRecord], _ vectors: [ModelVector])
    -> DecompositionRecord
  {
    let request = plan.request
    return DecompositionRecord(
      version: versionText, source: request.basePath == nil ? .weights : .difference,
      base: request.basePath ?? request.tunedPath,
      tuned: request.basePath == nil ? nil : request.tunedPath, baseName: request.baseName,
      options: plan.optionRows.map { .init(name: $0.name, value: $0.value) }, inputs: plan.inputs,
      modules: modules, vectors: vectors, leftOut: leftOut, factorType: plan.layout.factorType,
      taskType: plan.taskType, usesConv1D: plan.usesConv1D, allModulePaths: plan.allModulePaths,
      notes: plan.notes)
  }

  private func encoded(_ record: DecompositionRecord) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(record) + Data("\n".utf8)
  }
}

extension ExtractionPlan {
  /// What a decomposition stores besides triplets where it changed: norms, and biases of decomposed modules.
  ///
  /// - Parameter changed: Paths of modules of which some tensor changed.
  /// - Returns: The vectors with their places in the models; none for one model's own weights.
  fileprivate func vectors(changed: Set<String>) -> [(vector: ModelVector, pair: TensorPair)] {
    guard request.basePath != nil else { return [] }
    let pairs = Dictionary(uniqueKeysWithValues: leftOut.map { ($0.pair.name, $0.pair) })
    let norms = layout.savable.compactMap { tensor in
      pairs[tensor.location.name].map { pair in
        (
          vector: ModelVector(
            tensor: pair.name, modulePath: tensor.modulePath, parameter: tensor.parameter, kind: .tuned,
            elementType: pair.tuned.elementType, length: pair.elementCount,
            isStored: changed.contains(modulePath(ofTensor: pair.name))), pair: pair
        )
      }
    }
    return norms
      + biases.sorted { $0.key < $1.key }.map { index, pair in
        (
          vector: ModelVector(
            tensor: pair.name, modulePath: layout.modules[index].path, parameter: "bias", kind: .difference,
            elementType: .f32, length: pair.elementCount,
            isStored: changed.contains(modulePath(ofTensor: pair.name))), pair: pair
        )
      }
  }

  /// The error of a job that found no difference.
  func nothingChanged(_ modules: [ModuleRecord], _ leftOut: [LeftOutRecord]) -> ExtractionError {
    .identical(
      base: request.basePath ?? request.tunedPath, tuned: request.tunedPath, moduleCount: modules.count,
      changedCount: leftOut.count { $0.difference.map { !$0.isZero } ?? false })
  }
}
