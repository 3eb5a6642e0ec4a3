public import Checkpoints

/// One tensor that both checkpoints hold with the same shape, or one checkpoint's own.
public struct TensorPair: Sendable, Codable, Hashable {
  /// Where the base model's values are; nil for a model's own weights, from which nothing is taken away.
  public let base: TensorLocation?
  /// Where the fine-tuned model's values are.
  public let tuned: TensorLocation

  /// Pairs two tensors of equal shape, or none and one.
  public init(base: TensorLocation?, tuned: TensorLocation) {
    precondition(base == nil || base?.shape == tuned.shape, "a pair has one shape")
    self.base = base
    self.tuned = tuned
  }

  /// A tensor whose own values stand where those of a pair have a difference.
  public init(weight: TensorLocation) { self.init(base: nil, tuned: weight) }

  /// One of the matrices that tensors of three dimensions stack, of both sides.
  package func slice(_ index: Int) -> TensorPair {
    TensorPair(base: base?.slice(index), tuned: tuned.slice(index))
  }

  /// The tensor's name in the checkpoints.
  public var name: String { tuned.name }
  /// Its dimensions, outermost first.
  public var shape: [Int] { tuned.shape }
  /// The number of elements of one side.
  public var elementCount: Int { tuned.elementCount }
  /// Bytes of both sides on disk.
  public var byteCount: Int { (base?.byteCount ?? 0) + tuned.byteCount }
  /// Whether both sides hold numbers that can be subtracted.
  public var isNumeric: Bool { baseType.isReadableAsFloat && tuned.elementType.isReadableAsFloat }
  /// The type of the base model's values; zeros of the other side's type stand for a base that is not there.
  public var baseType: ElementType { base?.elementType ?? tuned.elementType }
}
