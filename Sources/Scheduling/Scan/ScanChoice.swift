internal import Adapters
internal import Analysis
internal import Checkpoints
internal import WeightSources

/// Chooses the modules of a scan from a model's tensors, or from those of two models.
struct ScanChoice {
  /// Sentences about what is left out.
  private(set) var notes: [String] = []
  private let path: String
  private var weights: [Weight]

  /// A module with a weight.
  private struct Weight {
    let name: String
    let role: ModuleRole
    let pair: TensorPair
  }

  init(_ pairing: Pairing, of checkpoint: Checkpoint, _ configuration: ModelConfiguration?) {
    path = checkpoint.path
    let naming = PEFTNaming(configuration: configuration, tensorNames: checkpoint.sortedNames)
    weights = pairing.pairs.filter { $0.name.hasSuffix(".weight") && $0.isNumeric }.map { pair in
      let role = ModuleRole(tensor: pair.name, shape: pair.shape)
      return Weight(
        name: naming.path(of: modulePath(ofTensor: pair.name), role: role), role: role, pair: pair)
    }
    if configuration?.isHeadTied(in: checkpoint) ?? false, !weights.contains(where: { $0.role == .head }) {
      // A tied head is a module of its own in Transformers, whose weight is that of the largest embedding.
      let table = weights.filter { $0.role == .embedding }
        .max { $0.pair.elementCount < $1.pair.elementCount }
      if let table { weights.append(Weight(name: "lm_head", role: .head, pair: table.pair)) }
    }
    weights.sort { isModuleBefore($0.name, $1.name) }
    noteFused(pairing.pairs)
    noteUnpaired(pairing)
  }

  /// All linear layers, or the matrices of given types; experts of all numbers are of one type.
  ///
  /// - Parameter types: Types, or their last names.
  /// - Returns: The modules, type after type.
  /// - Throws: `ScanPlanError` for a type that is not there, or if nothing is left.
  func grouped(_ types: [String]) throws(ScanPlanError) -> [ScanPlan.Module] {
    let matrices = weights.filter { $0.role.isMatrix && $0.pair.elementCount > 0 }
    let all = Set(matrices.map { groupedType(ofModule: $0.name) }).sorted(by: isTypeBefore)
    for type in types where !all.contains(where: { isNamed($0, by: type) }) {
      throw .noSuchType(type: type, types: all)
    }
    let chosen = matrices.filter { weight in
      types.isEmpty
        ? weight.role == .linear
        : types.contains { isNamed(groupedType(ofModule: weight.name), by: $0) }
    }
    guard !chosen.isEmpty else { throw .nothingToScan(path: path) }
    let modules = chosen.map { module($0, type: groupedType(ofModule: $0.name)) }
    return all.flatMap { type in modules.filter { $0.type == type } }
  }

  /// What the published tool scans: for each type, every module whose name contains it; a module that several types
  /// match keeps the place that the first gave it and the type of the last.
  ///
  /// - Parameter types: Any text that occurs in a module's name; empty takes all types, as they are ticked at first.
  /// - Returns: The modules in the tool's order.
  /// - Throws: `ScanPlanError` for a type that is not there.
  func published(_ types: [String]) throws(ScanPlanError) -> [ScanPlan.Module] {
    let all = Set(weights.map { spectrumType(ofModule: $0.name) }).sorted(by: isTypeBefore)
    guard !weights.isEmpty else { throw .nothingToScan(path: path) }
    for type in types where !weights.contains(where: { $0.name.contains(type) }) {
      throw .noSuchType(type: type, types: all)
    }
    var order: [String] = []
    var chosen: [String: ScanPlan.Module] = [:]
    for type in types.isEmpty ? all : types {
      for weight in weights where type.isEmpty || weight.name.contains(type) {
        if chosen[weight.name] == nil { order.append(weight.name) }
        chosen[weight.name] = module(weight, type: type)
      }
    }
    return order.compactMap { chosen[$0] }
  }

  private func module(_ weight: Weight, type: String) -> ScanPlan.Module {
    ScanPlan.Module(name: weight.name, type: type, pair: weight.pair)
  }

  private func isNamed(_ type: String, by name: String) -> Bool { type == name || type.hasSuffix("." + name) }

  /// Experts that are fused into one tensor are no modules; the published tool passes them over in silence.
  private mutating func noteFused(_ pairs: [TensorPair]) {
    let fused = pairs.filter { $0.shape.count > 2 }
    guard let first = fused.first else { return }
    notes.append(
      "\(fused.count) \(fused.count == 1 ? "tensor has" : "tensors have") more than two dimensions and "
        + "\(fused.count == 1 ? "is" : "are") not scanned, such as '\(first.name)' \(first.shape)")
  }
  /// What the other model has not, or of another shape, has no difference.
  private mutating func noteUnpaired(_ pairing: Pairing) {
    let unpaired = pairing.onlyInBase + pairing.onlyInTuned + pairing.reshaped.map(\.tuned)
    guard let first = unpaired.first else { return }
    notes.append(
      "\(unpaired.count) \(unpaired.count == 1 ? "tensor is" : "tensors are") in one model alone or of another shape "
        + "there and not scanned, such as '\(first.name)' \(first.shape)")
  }
}
