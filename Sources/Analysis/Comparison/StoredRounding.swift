public import Checkpoints

/// How a floating-point type rounds: the distance of its numbers around a value.
public struct StoredRounding: Sendable {
  private let significantBits: Int
  private let smallestExponent: Int

  /// The rounding of an element type; double precision is read as single.
  public init(_ type: ElementType) {
    (significantBits, smallestExponent) =
      switch type {
      case .bf16: (8, -126)
      case .f16: (11, -14)
      case .f8E4M3: (4, -6)
      case .f8E5M2: (3, -14)
      default: (24, -126)
      }
  }

  /// Whether the type is no wider than a difference is computed in.
  var isSinglePrecision: Bool { significantBits == 24 }

  /// The distance from a value of the type to the next one away from zero.
  func spacing(at value: Float) -> Float {
    let exponent = max(Int(value.bitPattern >> 23 & 0xFF) - 127, smallestExponent) - significantBits + 1
    return Float(bitPattern: UInt32(max(1, exponent + 127)) << 23)
  }
}
