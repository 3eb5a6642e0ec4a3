public import Checkpoints

extension ModelConfiguration {
  /// Whether a model's head shares the input embedding's weights.
  ///
  /// Where the configuration is silent, as GPT-2's is, it does if there is an embedding and no head is stored: Transformers
  /// ties unless told otherwise, and writes no second name of a shared tensor.
  public func isHeadTied(in checkpoint: Checkpoint) -> Bool {
    if let tiesWordEmbeddings { return tiesWordEmbeddings }
    let roles = Set(checkpoint.tensors.values.map { ModuleRole(tensor: $0.name, shape: $0.shape) })
    return roles.contains(.embedding) && !roles.contains(.head)
  }
}
