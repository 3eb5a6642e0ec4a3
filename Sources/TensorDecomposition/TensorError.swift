/// A tensor or a request that no decomposition can be made for.
public enum TensorError: Error, CustomStringConvertible, Equatable, Sendable {
  /// An entry is NaN or infinite.
  case notFinite(indices: [Int], shape: [Int])
  /// A rank below one was asked for.
  case rankTooSmall(Int)
  /// A list with one item a mode has another length.
  case modeCount(given: Int, modes: Int)
  /// A tolerance outside 0 ... 1.
  case tolerance(Double)
  /// A source's norm or product is not finite.
  case productNotFinite(mode: Int)

  /// One sentence with both numbers and the remedy.
  public var description: String {
    switch self {
    case .notFinite(let indices, let shape):
      "the entry at \(listed(indices)) of the \(shapeText(shape)) tensor is not finite; "
        + "leave out the module it comes from"
    case .rankTooSmall(let rank): "a rank of \(rank) was asked for; it must be 1 or more"
    case .modeCount(let given, let modes):
      "\(given) ranks were given for a tensor of \(modes) modes; give one a mode"
    case .tolerance(let value): "the tolerance is \(value); it must be above 0 and below 1"
    case .productNotFinite(let mode):
      "the product for mode \(mode) is not finite; look for entries beyond 1e150 or not finite in the data"
    }
  }

  private func listed(_ indices: [Int]) -> String {
    "[" + indices.map(String.init).joined(separator: ", ") + "]"
  }
}

/// A shape as in `128 × 128 × 32`.
func shapeText(_ shape: [Int]) -> String { shape.map(String.init).joined(separator: " × ") }
