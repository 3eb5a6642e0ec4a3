package import Adapters
internal import Checkpoints
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// Writes an adapter's folder from the results of a plan's units, given in any order.
package struct AdapterEmission: ~Copyable {
  private let plan: ExtractionPlan
  private let folder: String
  private var file: PEFTAdapterFile
  private var records: [Int: ModuleRecord] = [:]
  private var measures: [Int: DifferenceMeasure] = [:]

  /// Begins the files of a folder that exists and holds nothing.
  ///
  /// - Throws: `CheckpointError.system` if the device refuses.
  package init(_ plan: ExtractionPlan, folder: String) throws {
    self.plan = plan
    self.folder = folder
    file = try PEFTAdapterFile(path: folder + "/adapter_model.safetensors", layout: plan.layout)
  }

  /// Files one unit's result.
  package mutating func write(_ unit: ExtractionPlan.WorkUnit, _ result: ExtractionResult) throws {
    switch (unit, result) {
    case (.decompose(let index), .decomposed(let record, let factors)):
      if let factors {
        try file.write(factors, module: index)
      } else {
        try file.omit(module: index)
      }
      records[index] = record
    case (.measure(let index), .measured(let measure)): measures[index] = measure
    default: preconditionFailure("a unit came back with another kind of result")
    }
  }

  /// Writes what is left, the configuration and the card; all files are durable when this returns.
  ///
  /// - Returns: The records of the report, in the plan's order.
  /// - Throws: `ExtractionError.identical` if no module changed, or what the device has against it.
  package consuming func finish() throws -> Records {
    let modules = plan.modules.indices.compactMap { records[$0] }
    guard modules.contains(where: { $0.rank > 0 }) else {
      throw ExtractionError.identical(
        base: plan.request.basePath, tuned: plan.request.tunedPath, moduleCount: modules.count,
        changedCount: measures.values.filter { !$0.isZero }.count)
    }
    let leftOut = plan.leftOut.indices.map { LeftOutRecord(plan.leftOut[$0], difference: measures[$0]) }
    let reader = DeltaReader()
    if plan.layout.writesBias { try writeBiases(reader) }
    let saved = try writeSavable(reader, changed: changedModules(leftOut))
    try writeDurably(configuration(saved: saved).encoded(), to: folder + "/adapter_config.json")
    let card = plan.card(modules: modules, leftOut: leftOut, stored: saved.tensors)
    try writeDurably(Data(card.markdown.utf8), to: folder + "/README.md")
    try file.finish()
    return Records(modules: modules, leftOut: leftOut)
  }

  /// What is known about each module and each tensor that was left out.
  package struct Records {
    package let modules: [ModuleRecord]
    package let leftOut: [LeftOutRecord]
  }

  /// Checkpoint paths of modules of which some tensor changed.
  private func changedModules(_ leftOut: [LeftOutRecord]) -> Set<String> {
    Set(leftOut.filter { $0.difference.map { !$0.isZero } ?? false }.map { modulePath(ofTensor: $0.tensor) })
  }

  private mutating func writeBiases(_ reader: DeltaReader) throws {
    let type = plan.layout.factorType.elementType
    for (index, record) in records.sorted(by: { $0.key < $1.key }) where record.rank > 0 {
      // PEFT gives every adapted layer a bias once one has it: no change is a bias of zeros.
      var change = Matrix<Float>(repeating: 0, rows: 1, columns: plan.layout.modules[index].outputCount)
      if let pair = plan.biases[index] { change = try reader.readDelta(pair).takeMatrix() }
      try file.writeBias(type.encode(change), module: index)
    }
  }

  private mutating func writeSavable(_ reader: DeltaReader, changed: Set<String>) throws -> Saved {
    var saved = Saved()
    for (index, tensor) in plan.layout.savable.enumerated() {
      let isChanged = changed.contains(modulePath(ofTensor: tensor.location.name))
      try file.writeSavable(isChanged ? reader.readBytes(tensor.location) : nil, at: index)
      if isChanged {
        saved.modules.insert(tensor.modulePath)
        saved.tensors.append(tensor.location.name)
      }
    }
    return saved
  }

  private struct Saved {
    var modules: Set<String> = []
    var tensors: [String] = []
  }

  private func configuration(saved: Saved) -> PEFTConfiguration {
    let ranks = plan.layout.modules.indices.compactMap { index -> (String, Int)? in
      guard let rank = records[index]?.rank, rank > 0 else { return nil }
      return (plan.layout.modules[index].path, rank)
    }
    return PEFTConfiguration(
      baseModel: plan.request.baseName, taskType: plan.taskType,
      ranks: Dictionary(uniqueKeysWithValues: ranks),
      targets: TargetModules(adapted: ranks.map(\.0), all: plan.allModulePaths),
      modulesToSave: saved.modules.sorted(), hasLoRABias: plan.layout.writesBias, fanInFanOut: plan.usesConv1D
    )
  }
}

/// Why an extraction has nothing to write.
public enum ExtractionError: Error, CustomStringConvertible, Equatable, Sendable {
  /// No module changed.
  case identical(base: String, tuned: String, moduleCount: Int, changedCount: Int)

  /// One sentence with what was compared.
  public var description: String {
    switch self {
    case .identical(let base, let tuned, let modules, let changed):
      "\(tuned): all \(modules) selected modules equal those of \(base)"
        + (changed > 0
          ? "; \(changed) \(changed == 1 ? "tensor outside the selection differs" : "tensors outside the selection differ"), see 'unbraid plan'"
          : "; the two models are identical")
    }
  }
}
