public import Checkpoints
internal import LinearAlgebra
internal import WeightSources

/// A model's tensors under the names by which PEFT adapters know them.
public struct ModelUnderAdapters: Sendable {
  /// The model.
  public let checkpoint: Checkpoint
  /// What its `config.json` says, if it has one.
  public let configuration: ModelConfiguration?
  let naming: PEFTNaming
  private let tensorsByName: [String: TensorLocation]

  /// Names every tensor of a model.
  public init(_ checkpoint: Checkpoint, configuration: ModelConfiguration?) {
    self.checkpoint = checkpoint
    self.configuration = configuration
    let naming = PEFTNaming(configuration: configuration, tensorNames: checkpoint.sortedNames)
    self.naming = naming
    let named = checkpoint.tensors.values.map { tensor in
      let module = modulePath(ofTensor: tensor.name)
      let path = naming.path(of: module, role: ModuleRole(tensor: tensor.name, shape: tensor.shape))
      return (path + tensor.name.dropFirst(module.count), tensor)
    }
    tensorsByName = Dictionary(
      named
        + named.compactMap { name, tensor in naming.loadedName(ofBlockTensor: name).map { ($0, tensor) } },
      uniquingKeysWith: { first, _ in first })
  }

  /// The tensor that PEFT calls by a name such as `model.norm.weight`.
  public func tensor(_ name: String) -> TensorLocation? { tensorsByName[name] }

  /// The vocabulary's table, if the head shares it.
  public var tiedTable: TensorLocation? {
    guard configuration?.isHeadTied(in: checkpoint) ?? false else { return nil }
    // The vocabulary's table has most rows; position and type tables are embeddings too.
    return checkpoint.tensors.values
      .filter { ModuleRole(tensor: $0.name, shape: $0.shape) == .embedding }
      .max { ($0.shape[0], $1.name) < ($1.shape[0], $0.name) }
  }

  /// The tensor whose place one that an adapter stores whole takes.
  ///
  /// - Throws: `MergeError` if the model has none of that name, or one of another shape.
  func tensor(replacedBy saved: PEFTAdapter.SavedTensor, in adapter: PEFTAdapter) throws -> TensorLocation {
    guard let target = tensor(saved.name) else {
      throw MergeError.noSuchTensor(adapter: adapter.path, tensor: saved.name, model: checkpoint.path)
    }
    guard target.shape == saved.location.shape else {
      throw MergeError.otherSavedShape(
        adapter: adapter.path, tensor: saved.name, saved: saved.location.shape, shape: target.shape)
    }
    return target
  }

  /// The path of a module that is most like one the model does not have, for a message.
  func example(like path: String) -> String {
    let candidates = tensorsByName.keys.filter { $0.hasSuffix(".weight") }.map(modulePath(ofTensor:)).sorted()
    let last = path.split(separator: ".").last.map(String.init) ?? path
    return candidates.first { $0.hasSuffix(last) } ?? candidates.first ?? ""
  }

  /// The weights that an adapter's module changes: one, but for an expert that has modules of its own.
  ///
  /// - Parameters:
  ///   - module: One of the adapter's.
  ///   - adapter: For its path, and for the layout where the model has no configuration.
  /// - Returns: Where they are, and which side of them is the input.
  /// - Throws: `MergeError` if the model has no such weight, or if it has another shape than the factors.
  public func weights(of module: PEFTAdapter.Module, in adapter: PEFTAdapter) throws -> [AdaptedWeight] {
    if let expert = module.expert, !expert.isRouter {
      return try weights(ofExpert: expert, module, in: adapter)
    }
    guard let tensor = tensor(module.path + ".weight") else {
      throw MergeError.noSuchModule(
        adapter: adapter.path, module: module.path, model: checkpoint.path,
        example: example(like: module.path))
    }
    return [AdaptedWeight(tensor: tensor, layout: try layout(of: tensor, module, adapter))]
  }

  /// The bias that an adapter's module changes; nil if it changes none.
  ///
  /// - Throws: `MergeError.noBias` if the layer has none and the change is not zero.
  func bias(changedBy module: PEFTAdapter.Module, in adapter: PEFTAdapter) throws -> TensorLocation? {
    guard module.bias != nil else { return nil }
    if let bias = tensor(module.path + ".bias") { return bias }
    // Zeros stand for a layer without bias: PEFT gives every adapted layer one, or none.
    guard try adapter.readBias(of: module, with: DeltaReader())?.sumOfSquares() == 0 else {
      throw MergeError.noBias(adapter: adapter.path, module: module.path)
    }
    return nil
  }

  private func layout(of tensor: TensorLocation, _ module: PEFTAdapter.Module, _ adapter: PEFTAdapter) throws
    -> WeightLayout
  {
    let role = ModuleRole(tensor: tensor.name, shape: tensor.shape)
    let isTransposed =
      module.isEmbedding
      || (configuration == nil
        ? role == .linear && adapter.configuration.fanInFanOut
        : naming.layout(of: modulePath(ofTensor: tensor.name), role: role) == .inputByOutput
          && role == .linear)
    let shape = [module.outputCount, module.inputCount]
    guard tensor.shape == (isTransposed ? shape.reversed() : shape) else {
      throw MergeError.otherShape(
        adapter: adapter.path, module: module.path, update: isTransposed ? shape.reversed() : shape,
        tensor: tensor.name, shape: tensor.shape)
    }
    return isTransposed ? .inputByOutput : .outputByInput
  }
}
