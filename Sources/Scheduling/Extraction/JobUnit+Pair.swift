internal import Checkpoints
internal import WeightSources

extension JobUnit {
  /// A unit that reads a pair of tensors; it lies where the fine-tuned one does.
  init(_ pair: TensorPair, cost: Double) {
    self.init(cost: cost, path: pair.tuned.filePath, offset: pair.tuned.offset, byteCount: pair.byteCount)
  }
}
