public import Checkpoints
public import WeightSources

/// A model with some adapters added to it, worked out tensor by tensor.
///
/// A weight W becomes W + Σᵢ wᵢ·sᵢ·Bᵢ·Aᵢ, summed in single precision and rounded once to the type of W. A tensor that
/// an adapter stores whole counts as its difference from the model's: W + wᵢ·(Sᵢ − W), which is Sᵢ where wᵢ is 1.
public struct AdapterMerge: Sendable {
  /// The model to write: the one that was given, with a head of its own where it must no longer be the embedding.
  public let model: Checkpoint
  /// Whether the head was tied to the embedding and is not any more.
  public let untiesHead: Bool
  /// Sentences for a person.
  public let notes: [String]
  private let updates: [String: TensorUpdate]

  /// An adapter and how much of it is added.
  public struct Term: Sendable {
    /// The adapter.
    public let adapter: PEFTAdapter
    /// Its weight; 1 adds it as it was trained.
    public let weight: Double

    /// Some of an adapter.
    public init(_ adapter: PEFTAdapter, weight: Double = 1) {
      self.adapter = adapter
      self.weight = weight
    }
  }

  /// Finds each adapter's modules and tensors in a model; only factors of tied tables are read.
  ///
  /// - Throws: `MergeError` for what does not fit, `PEFTAdapterError` and `CheckpointError` for damaged files.
  public init(of checkpoint: Checkpoint, configuration: ModelConfiguration?, terms: [Term]) throws {
    var named = ModelUnderAdapters(checkpoint, configuration: configuration)
    let head = try TiedHead(named, terms)
    if let head, !head.staysTied {
      named = ModelUnderAdapters(
        checkpoint.repeating(head.table, as: head.name + ".weight"), configuration: configuration)
      notes = [
        "the head was tied to the input embedding; what is added to one of them is not added to the other, so the "
          + "merged model has a '\(head.name).weight' of its own"
      ]
    } else {
      notes = []
    }
    var updates: [String: TensorUpdate] = [:]
    for term in terms {
      let left = head.flatMap { $0.staysTied ? $0.name : nil }
      try collect(term, in: named, leavingOut: left, into: &updates)
    }
    model = named.checkpoint
    untiesHead = head.map { !$0.staysTied } ?? false
    self.updates = updates
  }

  /// How many tensors of the model change.
  public var updateCount: Int { updates.count }

  /// The new bytes of a tensor of `model`; nil if it stays as it is.
  ///
  /// - Throws: `MergeError.unwritable` or `.notFinite`, or what reading the files throws.
  public func merged(_ tensor: TensorLocation, with reader: DeltaReader) throws -> [UInt8]? {
    guard let update = updates[tensor.name], tensor.byteCount > 0 else { return nil }
    return try update.applied(to: tensor, with: reader)
  }
}

/// Files every change of one adapter under the tensor it changes.
private func collect(
  _ term: AdapterMerge.Term, in model: ModelUnderAdapters, leavingOut tiedHead: String?,
  into updates: inout [String: TensorUpdate]
) throws {
  let adapter = term.adapter
  for tensor in adapter.saved where tiedHead.map({ tensor.name != $0 + ".weight" }) ?? true {
    let target = try model.tensor(replacedBy: tensor, in: adapter)
    updates[target.name, default: TensorUpdate()].replacements.append(
      .init(location: tensor.location, weight: term.weight))
  }
  for module in adapter.modules where module.path != tiedHead {
    for target in try model.weights(of: module, in: adapter) {
      updates[target.tensor.name, default: TensorUpdate()].products.append(
        .init(adapter: adapter, module: module, target: target, weight: term.weight))
    }
    if let bias = try model.bias(changedBy: module, in: adapter) {
      updates[bias.name, default: TensorUpdate()].biasChanges.append(
        .init(adapter: adapter, module: module, weight: term.weight))
    }
  }
}
