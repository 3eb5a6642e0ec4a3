internal import Adapters
public import Checkpoints
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// Everything that all ranks need to know for a joint decomposition, made by one rank from the headers alone.
public struct JointPlan: Sendable, Codable {
  /// What was asked for.
  public let request: JointRequest
  /// The groups, by name.
  public let groups: [LayerGroup]
  /// What else a person should know: modules left out and why, clamped ranks.
  public let notes: [String]
  /// The files of all models, as they were when this was made.
  public let inputs: [InputFile]

  /// Reads the headers of all models and forms the groups.
  ///
  /// - Throws: `CheckpointError`, `SourceError` or `JointPlanError` for whatever is wrong with the models or does not
  ///   fit the request.
  public init(_ request: JointRequest) throws {
    let base = try Checkpoint.open(request.basePath)
    let configuration = try ModelConfiguration.read(modelPath: request.basePath)
    var inputs = try base.inputFiles()
    var models: [[String: TensorPair]] = []
    for path in request.tunedPaths {
      let tuned = try Checkpoint.open(path)
      let pairing = try Pairing(base: base, tuned: tuned, acceptsMixedTypes: request.acceptsMixedTypes)
      let selection = try ModuleSelection(
        pairing, tuned: tuned, isHeadTied: false, options: request.selection)
      models.append(Dictionary(uniqueKeysWithValues: selection.modules.map { ($0.name, $0.pair) }))
      inputs += try tuned.inputFiles()
    }
    let naming = PEFTNaming(
      configuration: try configuration ?? ModelConfiguration.read(modelPath: request.tunedPaths[0]),
      tensorNames: base.sortedNames)
    var former = GroupFormer(models: models, tunedPaths: request.tunedPaths) {
      naming.layout(of: $0, role: .linear) == .inputByOutput
    }
    var groups = try former.groups(request.groupPatterns)
    for index in groups.indices {
      former.notes += groups[index].setSize(request, hiddenSize: configuration?.hiddenSize)
    }
    self.request = request
    self.groups = groups
    notes = former.notes
    self.inputs = inputs
  }

  /// Bytes a rank needs beside the slices it keeps: two slices, the sketches and their sums.
  func workspaceBytes(of group: LayerGroup) -> Int {
    let (rows, columns) = (group.shape[0], group.shape[1])
    let vectors = max(128, 2 * max(group.outRank ?? 256, group.inRank ?? 256))
    let levels = 6 + Int(Double(group.sliceCount).squareRoot().rounded(.up))
    return ModuleCost.processBytes + 8 * rows * columns + 4 * vectors * (rows + columns) * levels
  }

  /// A sentence if a group needs more memory than a rank is allowed: it is decomposed all the same, without keeping slices.
  public func memoryNotes(_ resources: JobResources) -> [String] {
    let largest = groups.max { workspaceBytes(of: $0) < workspaceBytes(of: $1) }
    guard let largest, workspaceBytes(of: largest) > resources.memoryPerRank else { return [] }
    let megabytes = (workspaceBytes(of: largest) + 999_999) / 1_000_000
    return [
      "group '\(largest.name)' needs about \(megabytes) MB a rank, more than --memory-per-rank allows "
        + "(\(resources.memoryPerRank / 1_000_000) MB)"
    ]
  }

  /// What tells this job from others.
  public func identity(version: String) -> JobIdentity {
    let paths = [("BASE", request.basePath)] + request.tunedPaths.map { ("TUNED", $0) }
    return JobIdentity(
      options: [("version", version)] + paths + optionRows, inputs: inputs,
      units: groups.map { "\($0.name) \($0.modules.joined(separator: " "))" },
      circumstances: [("BLAS kernels", BLASLibrary.kernels)])
  }

  /// The options as they were resolved, named as on the command line.
  var optionRows: [(name: String, value: String)] {
    var rows: [(name: String, value: String)] = [("--method", request.method.rawValue)]
    switch request.size {
    case .ranks(let out, let `in`):
      rows.append(out == `in` ? ("--rank", "\(out)") : ("--ranks", "\(out),\(`in`)"))
    case .tolerance(let tolerance): rows.append(("--tolerance", "\(tolerance)"))
    }
    if let layerRank = request.layerRank { rows.append(("--layer-rank", "\(layerRank)")) }
    if request.method == .shared { rows.append(("--side", request.side?.rawValue ?? "auto")) }
    if request.method == .cp { rows.append(("--starts", "\(request.startCount)")) }
    if let limit = request.stepLimit { rows.append(("--steps", "\(limit)")) }
    rows.append(("--seed", "\(request.seed)"))
    rows += request.groupPatterns.map { ("--group", $0) }
    rows += request.selection.optionRows
    if request.acceptsMixedTypes { rows.append(("--mixed-dtypes", "on")) }
    if !request.comparesSeparateSVDs { rows.append(("--no-compare", "on")) }
    return rows
  }
}

extension LayerGroup {
  /// Sets ranks and side as asked, as far as the shape allows; returns a sentence for each that was clamped.
  mutating func setSize(_ request: JointRequest, hiddenSize: Int?) -> [String] {
    if request.method == .shared {
      side = request.side ?? residualSide(ofModule: modules[0], shape: shape, hiddenSize: hiddenSize)
    }
    guard case .ranks(let wantedOut, let wantedIn) = request.size else {
      return clampLayers(request.layerRank)
    }
    var limits = (out: shape[0], in: shape[1])
    switch request.method {
    case .tucker:
      let slices = min(sliceCount, (request.layerRank ?? modules.count) * pairs.count)
      limits = (
        min(limits.out, min(wantedIn, limits.in) * slices),
        min(limits.in, min(wantedOut, limits.out) * slices)
      )
    case .cp:
      // So many components express any tensor.
      let size = sliceCount * shape[0] * shape[1]
      let largest = size / max(sliceCount, shape[0], shape[1])
      limits = (largest, largest)
    case .shared: limits = side == .out ? (shape[0], shape[0]) : (shape[1], shape[1])
    }
    outRank = min(wantedOut, limits.out)
    inRank = min(wantedIn, limits.in)
    var notes: [String] = []
    if let outRank, outRank < wantedOut { notes.append(clampNote(wantedOut, outRank, "the outputs")) }
    if let inRank, inRank < wantedIn, outRank != inRank || limits.out != limits.in {
      notes.append(clampNote(wantedIn, inRank, "the inputs"))
    }
    return notes + clampLayers(request.layerRank)
  }

  private mutating func clampLayers(_ wanted: Int?) -> [String] {
    guard let wanted else { return [] }
    layerRank = min(wanted, modules.count)
    return wanted > modules.count ? [clampNote(wanted, modules.count, "the layers")] : []
  }

  private func clampNote(_ wanted: Int, _ possible: Int, _ what: String) -> String {
    "group '\(name)': rank \(wanted) of \(what) became \(possible), the largest that \(modules.count) layers of "
      + "\(shape[0]) × \(shape[1]) have"
  }
}

/// Why there is nothing to decompose together.
public enum JointPlanError: Error, CustomStringConvertible, Equatable, Sendable {
  /// No group has two layers.
  case nothingToStack(moduleCount: Int, example: String)
  /// Two patterns match one module.
  case inTwoGroups(module: String, patterns: [String])

  /// One sentence with what was found and the remedy.
  public var description: String {
    switch self {
    case .nothingToStack(let count, let example):
      "none of the \(count) selected modules (such as '\(example)') has another one of its type and shape to be "
        + "decomposed with; select more layers, or make groups with --group"
    case .inTwoGroups(let module, let patterns):
      "'\(module)' matches both --group '\(patterns[0])' and --group '\(patterns[1])'; a module belongs to one group"
    }
  }
}
