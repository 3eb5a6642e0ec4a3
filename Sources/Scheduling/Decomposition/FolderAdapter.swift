internal import Adapters
internal import Checkpoints
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// An adapter of a decomposition's folder: no model is read, and nothing is decomposed.
public struct FolderAdapter {
  private let request: AdapterRequest
  private let folder: DecompositionFolder
  private let version: String
  private let factorType: FactorType
  private let modules: [Module]
  /// Normalisations that may be stored.
  private let norms: [ModelVector]
  private let layout: AdapterLayout
  private let notes: [String]

  /// A module that was selected, and what the adapter takes of it.
  private struct Module {
    let decomposed: DecomposedModule
    let values: [Double]
    let choice: TripletChoice
    let requestedRank: Int

    var layout: AdapterLayout.Module { AdapterLayout.Module(decomposed, rank: requestedRank) }
  }

  /// Opens the folder and decides what to take of it.
  ///
  /// - Parameters:
  ///   - request: What was asked for.
  ///   - version: The program's.
  /// - Throws: `DecompositionFolderError` or `CheckpointError` for what is wrong with the folder, `SourceError` for
  ///   filters that do not fit it, `FolderAdapterError` if nothing is left.
  public init(_ request: AdapterRequest, version: String) throws {
    let folder = try DecompositionFolder(path: request.folderPath)
    let record = folder.record
    guard record.source == .difference else { throw FolderAdapterError.noDifference(path: folder.path) }
    let selected = try ModuleSelection.filtered(record.modules, by: request.selection, path: \.module)
    let spectra = try selected.map { ModuleSpectrum($0, values: try folder.values(of: $0)) }
    factorType = request.factorType ?? record.factorType
    let type = factorType
    let others = record.linearModules(besides: selected)
    let (choices, ruleNotes) = try request.rules.choices(
      for: spectra, bytesPerNumber: type.elementType.bitWidth / 8,
      byteCount: { try storedByteCount(selected, ranks: $0, others, type) })
    guard choices.contains(where: { !$0.numbers.isEmpty }) else {
      throw FolderAdapterError.nothingLeft(path: folder.path, moduleCount: selected.count)
    }
    self.request = request
    self.folder = folder
    self.version = version
    modules = selected.indices.map { index in
      Module(
        decomposed: selected[index], values: spectra[index].values, choice: choices[index],
        requestedRank: request.rules.largestRank(of: selected[index], choices[index]))
    }
    let edit = request.rules.edit
    norms = record.vectors.filter {
      request.savesNorms && $0.kind == .tuned && edit.keepsLayer(of: $0.modulePath)
    }
    layout = try AdapterLayout(
      modules: modules.map(\.layout), others: others, savable: norms.map(\.savable), factorType: factorType,
      writesBias: request.savesBias)
    notes = record.notes + ruleNotes + (request.savesBias ? Self.biasNotes(modules, record) : [])
  }

  private static func biasNotes(_ modules: [Module], _ record: DecompositionRecord) -> [String] {
    let changed = Set(record.vectors.filter { $0.kind == .difference && $0.isStored }.map(\.modulePath))
    let without = modules.map(\.decomposed).enumerated()
      .filter { modules[$0].choice.numbers.isEmpty && changed.contains($1.path) }.map(\.element.module)
    return noteOnBiases(leftOut: without).map { [$0] } ?? []
  }

  /// The base model's folder or file, where it was.
  public var basePath: String { folder.record.base }

  /// Writes the adapter and lets it appear.
  ///
  /// - Parameter output: Where to.
  /// - Returns: What it came to.
  /// - Throws: `AdapterError.factorOverflow`, or what the device has against it; nothing appears then.
  public func write(to output: OutputFolder) throws -> AdapterReport {
    let start = Date()
    return try output.publishing {
      let records = try writeFiles(output.contentsPath)
      let report = AdapterReport(
        request: request, version: version, decomposition: .init(folder.record),
        seconds: Date().timeIntervalSince(start), modules: records, leftOut: folder.record.leftOut,
        parameterCount: zip(modules, records).reduce(0) {
          $0 + $1.1.rank * ($1.0.decomposed.inputCount + $1.0.decomposed.outputCount)
        }, notes: notes)
      try writeDurably(report.encoded(), to: output.contentsPath + "/report.json")
      return report
    }
  }

  private func writeFiles(_ path: String) throws -> [ModuleRecord] {
    let record = folder.record
    var writer = try PEFTAdapterWriter(
      folder: path, layout: layout,
      description: .init(
        baseModel: baseName, taskType: record.taskType, fanInFanOut: record.usesConv1D,
        targets: .among(record.allModulePaths)))
    var records: [ModuleRecord] = []
    for (index, module) in modules.enumerated() {
      let gain = gain(ofModule: index)
      let (factors, record) = try factors(of: module, gain: gain)
      if let factors {
        try writer.write(factors, alpha: request.alpha, bias: try bias(of: module, gain: gain), module: index)
      } else {
        try writer.omit(module: index)
      }
      records.append(record)
    }
    for (index, norm) in norms.enumerated() { try writer.writeSavable(folder.bytes(of: norm), at: index) }
    let saved = norms.filter(\.isStored).map(\.tensor)
    try writeAdapterTexts(try writer.finish(), card(records, stored: saved), to: path)
    return records
  }

  private var baseName: String { request.baseName ?? folder.record.baseName }

  /// What PEFT multiplies a module's product by.
  private func gain(ofModule index: Int) -> Double {
    let rank = modules[index].choice.numbers.count
    return request.alpha.map { $0 / Double(layout.storedRank(ofModule: index, rank: rank)) } ?? 1
  }

  /// A module's change of bias, which PEFT multiplies as it does the product of the factors.
  private func bias(of module: Module, gain: Double) throws -> Matrix<Float>? {
    guard request.savesBias,
      let vector = folder.record.vectors.first(where: {
        $0.kind == .difference && $0.modulePath == module.decomposed.path
      }), let bytes = try folder.bytes(of: vector)
    else { return nil }
    let change = ElementType.f32.decode(bytes, rows: 1, columns: vector.length)
    change.view.scale(by: 1 / gain)
    return change
  }

  private func factors(of module: Module, gain: Double) throws -> (LoRAFactors?, ModuleRecord) {
    let start = Date()
    let (decomposed, choice) = (module.decomposed, module.choice)
    var factors: LoRAFactors?
    if !choice.numbers.isEmpty {
      let vectors = try folder.vectors(of: decomposed, keeping: choice.numbers)
      let isKept = Set(choice.numbers)
      let dropped = module.values.indices.reversed().filter { !isKept.contains($0) }
      factors = try LoRAFactors(
        vectors, stored: choice.numbers.map { module.values[$0] }, wanted: choice.values,
        remainder: decomposed.residual * decomposed.residual
          + dropped.reduce(0) { $0 + module.values[$1] * module.values[$1] },
        gain: gain, factorType: factorType, module: decomposed.module)
    }
    let record = ModuleRecord(
      decomposed, stored: module.values, kept: choice.numbers, wanted: choice.values,
      requestedRank: module.requestedRank, factors: factors, seconds: Date().timeIntervalSince(start))
    return (factors, record)
  }

  private func card(_ records: [ModuleRecord], stored: [String]) -> ModelCard {
    let record = folder.record
    return ModelCard(
      baseModel: baseName, tunedModel: record.tuned ?? record.base,
      options: record.options.map { ($0.name + " (decomposition)", $0.value) } + request.optionRows,
      modules: records, leftOut: record.leftOut, stored: stored, notes: notes)
  }
}

/// The bytes of some modules' factors of given ranks, with the zeros that PEFT wants of experts.
private func storedByteCount(
  _ modules: [DecomposedModule], ranks: [Int], _ others: [AdapterLayout.Module], _ type: FactorType
) throws -> Int {
  try AdapterLayout(
    modules: zip(modules, ranks).map { AdapterLayout.Module($0, rank: $1) }, others: others, savable: [],
    factorType: type, writesBias: false
  ).largestByteCount
}

extension DecompositionRecord {
  /// The model's linear layers but for some of the decomposed ones.
  fileprivate func linearModules(besides selected: [DecomposedModule]) -> [AdapterLayout.Module] {
    let taken = Set(selected.map(\.module))
    let layers = leftOut.filter { $0.role == .linear && $0.shape.count == 2 && !$0.tensor.hasSuffix("]") }
    return modules.filter { !taken.contains($0.module) }.map { AdapterLayout.Module($0, rank: 0) }
      + layers.map {
        AdapterLayout.Module(
          path: modulePath(ofTensor: $0.tensor), outputCount: $0.shape[0], inputCount: $0.shape[1],
          largestRank: 0)
      }
  }
}

extension TripletRules {
  /// The rank that a module's factors are laid out for: as an extraction would, if there is nothing but a fixed rank.
  fileprivate func largestRank(of module: DecomposedModule, _ choice: TripletChoice) -> Int {
    guard limits.isFixed && edit.changesNothing && budget == nil else { return choice.numbers.count }
    return min(limits.rank ?? module.requestedRank, module.requestedRank)
  }
}

/// Why no adapter can be made of a folder.
public enum FolderAdapterError: Error, CustomStringConvertible, Equatable, Sendable {
  /// The folder holds a model's own weights.
  case noDifference(path: String)
  /// Rules and edits leave nothing.
  case nothingLeft(path: String, moduleCount: Int)

  /// Whether the command line is to blame rather than the data.
  public var isUsage: Bool {
    switch self {
    case .noDifference: false
    case .nothingLeft: true
    }
  }

  /// One sentence with what there is and the remedy.
  public var description: String {
    switch self {
    case .noDifference(let path):
      "\(path): holds one model's own weights, and an adapter stands for a difference; decompose BASE and TUNED, or make "
        + "adapters of weights with 'unbraid init'"
    case .nothingLeft(let path, let count):
      "\(path): the rules leave no singular value of any of the \(count) modules; ask for more"
    }
  }
}
