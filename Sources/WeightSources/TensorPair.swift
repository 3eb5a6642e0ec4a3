public import Checkpoints

/// One tensor that both checkpoints hold with the same shape.
public struct TensorPair: Sendable, Codable, Hashable {
  /// Where the base model's values are.
  public let base: TensorLocation
  /// Where the fine-tuned model's values are.
  public let tuned: TensorLocation

  /// Pairs two tensors of equal shape.
  public init(base: TensorLocation, tuned: TensorLocation) {
    precondition(base.shape == tuned.shape, "a pair has one shape")
    self.base = base
    self.tuned = tuned
  }

  /// The tensor's name in the checkpoints.
  public var name: String { tuned.name }
  /// Its dimensions, outermost first.
  public var shape: [Int] { tuned.shape }
  /// The number of elements of one side.
  public var elementCount: Int { tuned.elementCount }
  /// Bytes of both sides on disk.
  public var byteCount: Int { base.byteCount + tuned.byteCount }
  /// Whether both sides hold numbers that can be subtracted.
  public var isNumeric: Bool { base.elementType.isReadableAsFloat && tuned.elementType.isReadableAsFloat }
}
