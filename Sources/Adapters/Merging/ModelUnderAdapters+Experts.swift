internal import Checkpoints
internal import LinearAlgebra

/// Where a model's file has the experts that PEFT sees as one parameter.
extension ModelUnderAdapters {
  /// The tensors that the update of one expert changes: a slice of one, or those of the expert's own modules.
  ///
  /// - Throws: `MergeError` if the model has no such experts, another number of them, or experts of another shape.
  func weights(
    ofExpert expert: FusedExpert, _ module: PEFTAdapter.Module, in adapter: PEFTAdapter
  ) throws -> [AdaptedWeight] {
    if let stack = stack(of: expert) {
      guard stack.shape.first == expert.count else {
        throw MergeError.otherExperts(
          adapter: adapter.path, parameter: expert.parameter, count: expert.count, tensor: stack.name,
          found: stack.shape.first ?? 0)
      }
      let matrix = stack.slice(expert.index)
      let layout = try layout(ofExperts: matrix.shape, matrix, isInStack: true, module, adapter)
      return [AdaptedWeight(tensor: stack, slice: expert.index, layout: layout)]
    }
    let parts = try matrices(of: expert, in: adapter)
    let heights = parts.map { $0.shape[0] }
    let shape = [heights.reduce(0, +), parts[0].shape[1]]
    let layout = try layout(ofExperts: shape, parts[0], isInStack: false, module, adapter)
    return zip(parts, heights).enumerated().map { index, part in
      let first = heights[..<index].reduce(0, +)
      return AdaptedWeight(tensor: part.0, layout: layout, part: first..<first + part.1)
    }
  }

  /// The tensor that stacks the matrices of all experts.
  private func stack(of expert: FusedExpert) -> TensorLocation? {
    tensor(expert.parameter).flatMap { $0.shape.count == 3 ? $0 : nil }
  }

  /// The weights of an expert's own modules, in the order in which they lie in the fused matrix.
  private func matrices(of expert: FusedExpert, in adapter: PEFTAdapter) throws -> [TensorLocation] {
    for names in [ownModule] + ExpertFamily.all.map({ $0.modules }) {
      func matrices(_ index: Int) -> [TensorLocation]? { weights(of: names(index, expert.parameter)) }
      guard let first = matrices(0) else { continue }
      let isLast = expert.index == expert.count - 1
      if let found = matrices(expert.index), !isLast || matrices(expert.count) == nil { return found }
      throw MergeError.otherExperts(
        adapter: adapter.path, parameter: expert.parameter, count: expert.count, tensor: first[0].name,
        found: (0...).prefix { matrices($0) != nil }.count)
    }
    throw MergeError.noSuchModule(
      adapter: adapter.path, module: expert.parameter, model: checkpoint.path,
      example: checkpoint.sortedNames.first { $0.contains("experts") } ?? example(like: expert.parameter))
  }

  /// Matrices of as many columns each; nil if there are none, or not all of them.
  private func weights(of modules: [String]) -> [TensorLocation]? {
    let found = modules.compactMap { tensor($0 + ".weight") }
    guard let first = found.first, found.count == modules.count,
      found.allSatisfy({ $0.shape.count == 2 && $0.shape[1] == first.shape.last })
    else { return nil }
    return found
  }

  /// Whether B·A is an expert's matrix as it is stored, or the transpose: as the shapes fit, and if both do, as PEFT takes
  /// the family.
  private func layout(
    ofExperts shape: [Int], _ tensor: TensorLocation, isInStack: Bool, _ module: PEFTAdapter.Module,
    _ adapter: PEFTAdapter
  ) throws -> WeightLayout {
    let product = [module.outputCount, module.inputCount]
    guard shape == product || shape == product.reversed() else {
      throw MergeError.otherShape(
        adapter: adapter.path, module: module.path, update: product, tensor: tensor.name, shape: shape)
    }
    guard shape[0] == shape[1] else { return shape == product ? .outputByInput : .inputByOutput }
    let isTransposed = isInStack && naming.layoutOfStacks == .inputByOutput
    let isTurned = adapter.configuration.turnsExperts(ofModelType: configuration?.modelType)
    return isTransposed == isTurned ? .outputByInput : .inputByOutput
  }
}

/// The module of an expert that is fused with its likes and with nothing else.
private func ownModule(ofExpert index: Int, in parameter: String) -> [String] {
  let name = parameter.split(separator: ".").last ?? ""
  return ["\(parameter.dropLast(name.count))\(index).\(name)"]
}
