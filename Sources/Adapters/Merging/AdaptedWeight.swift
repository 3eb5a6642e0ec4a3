public import Checkpoints

/// Where the update of one of an adapter's modules goes in a model: a tensor, or some rows of it, and which rows of the
/// update those are.
public struct AdaptedWeight: Sendable {
  /// The tensor.
  public let tensor: TensorLocation
  /// Which of its matrices, of a tensor that stacks those of all experts.
  public let slice: Int?
  /// Whether it is B·A, or the transpose, that is added.
  public let layout: WeightLayout
  /// The rows of the update that go there; nil for all.
  ///
  /// An update of a fused expert is divided where the expert has modules of its own.
  public let part: Range<Int>?

  init(tensor: TensorLocation, slice: Int? = nil, layout: WeightLayout, part: Range<Int>? = nil) {
    self.tensor = tensor
    self.slice = slice
    self.layout = layout
    self.part = part
  }

  /// The rows that it covers of the tensor's matrices, one below the other.
  var rows: Range<Int> {
    let height = tensor.shape.dropLast().last ?? 1
    let first = (slice ?? 0) * height
    return first..<first + height
  }
}
