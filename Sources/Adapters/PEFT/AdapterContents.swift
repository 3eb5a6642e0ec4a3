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
  ///   - parameters: `target_parameters`, whose factors hold all experts: their rank is a multiple.
  /// - Returns: What the file has.
  /// - Throws: `PEFTAdapterError` for the first that is not whole or does not fit.
  func modules(_ resolver: ScaleResolver, ofExperts parameters: [String]) throws -> [PEFTAdapter.Module] {
    try parts.sorted { $0.key < $1.key }.map { path, parts in
      guard let a = parts.a, let b = parts.b else { throw missingHalf(of: path, parts) }
      for tensor in [a, b] + (parts.bias.map { [$0] } ?? []) where !tensor.elementType.isReadableAsFloat {
        throw PEFTAdapterError.notNumeric(
          path: self.path, tensor: tensor.name, elementType: tensor.elementType)
      }
      try checkShapes(a, b, parts.bias)
      let rank = a.shape[0]
      let configured = resolver.rank(of: path)
      guard rank == configured || !parameters.isEmpty && rank % configured == 0 else {
        throw PEFTAdapterError.otherRank(
          path: self.path, module: path, inFile: rank, inConfiguration: configured)
      }
      return PEFTAdapter.Module(
        path: path, isEmbedding: parts.isEmbedding, a: a, b: b, bias: parts.bias, rank: rank,
        alpha: resolver.alpha(of: path), scale: resolver.scale(of: path))
    }
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
