public import Adapters
internal import Checkpoints
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// An adapter made from the folder of a joint decomposition, on one rank: the models' weights are not read.
public struct JointAdapter: Sendable {
  private let request: Request
  private let folder: JointFolder
  private let edit: ResolvedEdit
  private let base: BaseModules
  /// The number of the fine-tuned model.
  private let tuned: Int

  /// What was asked for.
  public struct Request: Sendable {
    /// The decomposition.
    public var folder: String
    /// Where the base model is now, if not where it was.
    public var basePath: String?
    /// What the adapter calls its base model; nil for its full path.
    public var baseName: String?
    /// What to do to the components.
    public var edit: ComponentEdit
    /// Which fine-tuned model: the end of its path, or its number, 0 the first; nil if there is one.
    public var tuned: String?
    /// The largest rank of a module; nil for the exact product of the factors.
    public var rank: Int?
    /// The type of the written factors.
    public var factorType: FactorType

    /// A request for all of a decomposition.
    public init(folder: String, edit: ComponentEdit, factorType: FactorType) {
      self.folder = folder
      self.edit = edit
      self.factorType = factorType
    }
  }

  /// `report.json` of such an adapter.
  public struct Report: Sendable, Codable {
    /// The program's version.
    public let version: String
    /// The decomposition's folder.
    public let decomposition: String
    /// Its method.
    public let method: JointMethod
    /// The fine-tuned model that the adapter stands for.
    public let tuned: String
    /// What was done to the components, as typed.
    public let options: [JointRecord.Option]
    /// All modules of the decomposition.
    public let modules: [JointModuleRecord]
    /// Sentences on blocks and the like.
    public let notes: [String]
  }

  /// Reads the folder and the headers of the base model, and resolves the edit: whatever is wrong is found here.
  ///
  /// - Throws: `JointFolderError`, `ComponentError`, `JointAdapterError` or `CheckpointError`.
  public init(_ request: Request) throws {
    self.request = request
    folder = try JointFolder(path: request.folder)
    tuned = try folder.record.tunedIndex(request.tuned)
    edit = try ResolvedEdit(request.edit, of: folder.record, listings: try folder.listings())
    base = try BaseModules(path: request.basePath ?? folder.record.base, of: folder.record)
  }

  /// The base model's folder or file, as it was found.
  public var basePath: String { base.path }

  /// What a person should know about the edit.
  public var notes: [String] { edit.notes }

  /// Writes the adapter's files and lets them appear.
  ///
  /// - Parameters:
  ///   - output: The folder to fill; it is given up if something goes wrong.
  ///   - version: The program's version.
  /// - Returns: What is in it.
  /// - Throws: `ComponentError.nothingLeft` if every module would be empty, or what the device has against it.
  public func write(into output: OutputFolder, version: String) throws -> Report {
    try output.publishing {
      let modules = try writeFactors(output.contentsPath)
      let report = Report(
        version: version, decomposition: request.folder, method: folder.record.method,
        tuned: folder.record.tuned[tuned], options: optionRows, modules: modules, notes: edit.notes)
      try writeTexts(report, output.contentsPath)
      return report
    }
  }

  /// Writes the factors and the configuration, a module at a time.
  private func writeFactors(_ path: String) throws -> [JointModuleRecord] {
    let record = folder.record
    let layout = try AdapterLayout(
      modules: record.groups.flatMap { group in
        group.modules.map { base.module($0, rank: largestRank(group)) }
      }, others: base.others(than: record), savable: [], factorType: request.factorType, writesBias: false)
    var writer = try PEFTAdapterWriter(folder: path, layout: layout, description: base.description(baseName))
    var records: [JointModuleRecord] = []
    for (group, groupEdit) in zip(record.groups, edit.groups) {
      let tensors = try GroupTensors(group, of: folder)
      for layer in group.modules.indices {
        let update = try JointModuleUpdate(
          tensors, slice: tuned * group.modules.count + layer, groupEdit, rank: request.rank,
          request.factorType)
        if let factors = update.factors {
          try writer.write(a: factors.a.matrix, b: factors.b.matrix, module: records.count)
        } else {
          try writer.omit(module: records.count)
        }
        records.append(update.record)
      }
    }
    guard records.contains(where: { $0.rank > 0 }) else {
      throw ComponentError.nothingLeft(isComplement: request.edit.takesComplement)
    }
    let configuration = try writer.finish()
    try writeDurably(configuration.encoded(), to: path + "/adapter_config.json")
    return records
  }

  private var baseName: String {
    request.baseName ?? URL(fileURLWithPath: base.path).standardizedFileURL.path
  }

  /// The rank that no edit of a group exceeds.
  private func largestRank(_ group: JointGroupRecord) -> Int {
    let exact = group.componentSets(folder.record.method).map(\.count).min() ?? 1
    return min(exact, request.rank ?? exact)
  }

  private func writeTexts(_ report: Report, _ path: String) throws {
    let card = JointAdapterCard(
      baseModel: baseName, tunedModel: report.tuned, method: report.method, options: report.options,
      modules: report.modules, notes: report.notes)
    try writeDurably(Data(card.markdown.utf8), to: path + "/README.md")
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try writeDurably(encoder.encode(report) + Data("\n".utf8), to: path + "/report.json")
  }

  /// The options as they were resolved, named as on the command line.
  private var optionRows: [JointRecord.Option] {
    let edit = request.edit
    var rows = edit.keep.map { ("--keep", $0) } + edit.drop.map { ("--drop", $0) }
    rows += edit.scale.map { ("--scale", $0) } + edit.groups.map { ("--group", $0) }
    if let layers = edit.layers { rows.append(("--layers", layers.text)) }
    if edit.takesComplement { rows.append(("--complement", "on")) }
    if folder.record.tuned.count > 1 { rows.append(("--tuned", folder.record.tuned[tuned])) }
    if let rank = request.rank { rows.append(("--rank", "\(rank)")) }
    rows.append(("--factor-dtype", request.factorType.rawValue))
    return rows.map { JointRecord.Option(name: $0.0, value: $0.1) }
  }
}

extension JointAdapter.Report {
  /// The line a person wants to read at the end.
  public var summary: String {
    let written = modules.filter { $0.rank > 0 }
    let ranks = written.map(\.rank)
    let (fewest, most) = (ranks.min() ?? 0, ranks.max() ?? 0)
    let energy = modules.reduce(0) { $0 + $1.norm * $1.norm }
    let bounds = [\JointModuleRecord.leastResidual, \.largestResidual].map { bound in
      (modules.reduce(0) { $0 + $1[keyPath: bound] * $1[keyPath: bound] } / energy).squareRoot()
    }
    return "\(written.count) of \(modules.count) modules, rank \(fewest)"
      + (most > fewest ? " to \(most)" : "")
      + String(format: ", relative residual %.4f", bounds[0])
      + (bounds[1] - bounds[0] > 5e-5 ? String(format: " to %.4f", bounds[1]) : "")
  }
}
