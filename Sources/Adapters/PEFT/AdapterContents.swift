internal import Checkpoints

/// The tensors of an adapter's file, sorted by what they are while its header is read.
struct AdapterContents {
  let path: String
  private(set) var saved: [PEFTAdapter.SavedTensor] = []
  private var parts: [String: Parts] = [:]

  private struct Parts {
    var a: TensorLocation?
    var b: TensorLocation?
    var bias: TensorLocation?
    var isEmbedding = false
  }

  init(path: String) { self.path = path }

  /// Files one tensor under its module.
  mutating func take(_ tensor: TensorLocation) throws {
    let prefix = "base_model.model."
    guard tensor.name.hasPrefix(prefix) else {
      throw PEFTAdapterError.unknownTensor(path: path, tensor: tensor.name)
    }
    let name = String(tensor.name.dropFirst(prefix.count))
    func module(_ ending: String) -> String? {
      name.hasSuffix(ending) ? String(name.dropLast(ending.count)) : nil
    }
    if let module = module(".lora_A.weight") {
      parts[module, default: Parts()].a = tensor
    } else if let module = module(".lora_B.weight") {
      parts[module, default: Parts()].b = tensor
    } else if let module = module(".lora_B.bias") {
      parts[module, default: Parts()].bias = tensor
    } else if let module = module(".lora_embedding_A") {
      parts[module, default: Parts()].a = tensor
      parts[module]?.isEmbedding = true
    } else if let module = module(".lora_embedding_B") {
      parts[module, default: Parts()].b = tensor
      parts[module]?.isEmbedding = true
    } else {
      // `lora_A.default.weight` and the like; DoRA's magnitudes.
      guard !name.contains(".lora_") else {
        throw PEFTAdapterError.unknownTensor(path: path, tensor: tensor.name)
      }
      // PEFT stores a targeted embedding's own table under the name it has inside its wrapper.
      saved.append(.init(name: name.replacing(".base_layer.", with: "."), location: tensor))
    }
  }

  /// The modules by path, checked against the configuration.
  ///
  /// - Parameters:
  ///   - resolver: Ranks and scales.
  ///   - targets: Which factors are those of parameters that are no layer's weight.
  /// - Returns: What the file has, each expert of a fused parameter by itself.
  /// - Throws: `PEFTAdapterError` for the first that is not whole or does not fit.
  func modules(_ resolver: ScaleResolver, _ targets: TargetParameters) throws -> [PEFTAdapter.Module] {
    let parameters = try targets.parameters(ofWrappers: Array(parts.keys))
    return try parts.sorted { $0.key < $1.key }.flatMap { path, parts -> [PEFTAdapter.Module] in
      guard let a = parts.a, let b = parts.b else { throw missingHalf(of: path, parts) }
      for tensor in [a, b] + (parts.bias.map { [$0] } ?? []) where !tensor.elementType.isReadableAsFloat {
        throw PEFTAdapterError.notNumeric(
          path: self.path, tensor: tensor.name, elementType: tensor.elementType)
      }
      try checkShapes(a, b, parts.bias)
      // PEFT holds patterns against a parameter's own path, not its wrapper's.
      let target = parameters[path] ?? path
      let rank = resolver.rank(of: target)
      let count = try expertCount(of: target, isModule: parameters[path] == nil, rank: a.shape[0], each: rank)
      func module(_ path: String, _ expert: FusedExpert?, _ a: TensorLocation) -> PEFTAdapter.Module {
        PEFTAdapter.Module(
          path: path, isEmbedding: parts.isEmbedding, expert: expert, a: a, b: b, bias: parts.bias,
          rank: rank,
          alpha: resolver.alpha(of: target), scale: resolver.scale(of: target))
      }
      guard let parameter = parameters[path] else { return [module(path, nil, a)] }
      guard count > 1 || parameter.hasSuffix(".weight") || FusedExpert.depth(of: parameter) != nil else {
        throw PEFTAdapterError.unsupported(
          path: self.path, what: "the parameter '\(parameter)' is neither a weight nor one of fused experts",
          remedy: "merge the adapter with PEFT's merge_and_unload")
      }
      if let bias = parts.bias {
        throw PEFTAdapterError.unknownTensor(path: self.path, tensor: bias.name)
      }
      let matrices = a.reshaped([count, rank, a.shape[1]])
      return (0..<count).map { index in
        let expert = FusedExpert(parameter: parameter, wrapper: path, index: index, count: count)
        return module(expert.path, expert, matrices.slice(index))
      }
    }
  }

  /// How many matrices the factors stand for: one, or of a fused parameter as many as there are experts.
  private func expertCount(of target: String, isModule: Bool, rank: Int, each: Int) throws -> Int {
    if isModule {
      guard rank == each else {
        throw PEFTAdapterError.otherRank(path: path, module: target, inFile: rank, inConfiguration: each)
      }
      return 1
    }
    guard rank % each == 0 else {
      throw PEFTAdapterError.noMultiple(
        path: path, parameter: target, inFile: rank, inConfiguration: each)
    }
    return rank / each
  }

  private func checkShapes(_ a: TensorLocation, _ b: TensorLocation, _ bias: TensorLocation?) throws {
    for tensor in [a, b] where tensor.shape.count != 2 || tensor.shape.contains(0) {
      throw PEFTAdapterError.wrongShape(
        path: path, tensor: tensor.name, found: tensor.shape,
        problem: "and only factors of linear layers and embeddings, which are matrices, are read")
    }
    guard a.shape[0] == b.shape[1] else {
      throw PEFTAdapterError.wrongShape(
        path: path, tensor: b.name, found: b.shape,
        problem: "which does not go with the \(a.shape) of '\(a.name)'; the ranks must be equal")
    }
    if let bias, bias.shape != [b.shape[0]] {
      throw PEFTAdapterError.wrongShape(
        path: path, tensor: bias.name, found: bias.shape, problem: "and its layer has \(b.shape[0]) outputs")
    }
  }

  private func missingHalf(of module: String, _ parts: Parts) -> PEFTAdapterError {
    let (a, b) =
      parts.isEmbedding ? ("lora_embedding_A", "lora_embedding_B") : ("lora_A.weight", "lora_B.weight")
    let found = parts.a ?? parts.b ?? parts.bias
    return .missingHalf(
      path: path, tensor: found?.name ?? module,
      missing: "base_model.model.\(module).\(parts.a == nil ? a : b)")
  }
}
