internal import Foundation

/// The law of the singular values of noise: of a matrix whose entries are independent with one variance
/// (Marchenko and Pastur, 1967).
public struct MarchenkoPastur: Sendable {
  /// The shorter side over the longer one.
  private let aspect: Double
  private let longLength: Double

  /// The law for matrices of a shape.
  public init(rows: Int, columns: Int) {
    precondition(rows > 0 && columns > 0, "a matrix without entries has no singular values")
    aspect = Double(min(rows, columns)) / Double(max(rows, columns))
    longLength = Double(max(rows, columns))
  }

  /// Where the singular values of such noise end: (√rows + √columns)·σ.
  ///
  /// - Parameter noise: σ, the standard deviation of an entry.
  /// - Returns: The edge of the law.
  public func edge(noise: Double) -> Double { (1 + aspect.squareRoot()) * longLength.squareRoot() * noise }

  /// The standard deviation of an entry of noise that has this median singular value.
  ///
  /// What stands out of the noise moves the median little as long as it is few values.
  public func noise(medianSingularValue median: Double) -> Double {
    median / (longLength * medianOfSquares).squareRoot()
  }

  /// The median of the law: of the squared singular values divided by the longer side, for σ = 1.
  public var medianOfSquares: Double {
    // Squares are 1 + β + 2√β cos θ, and their density over θ in (0, π) has no singularity.
    var (low, high) = (0.0, Double.pi)
    while true {
      let middle = (low + high) / 2
      guard middle > low && middle < high else { return 1 + aspect + 2 * aspect.squareRoot() * cos(middle) }
      if share(above: middle) < 0.5 { low = middle } else { high = middle }
    }
  }

  /// The share of squares above 1 + β + 2√β cos θ: (2/π) ∫₀^θ sin²t / (1 + β + 2√β cos t) dt, in closed form.
  private func share(above angle: Double) -> Double {
    let root = aspect.squareRoot()
    let (sum, swing) = (1 + aspect, 2 * root)
    let turned = atan((1 - root) / (1 + root) * tan(angle / 2))
    let integral =
      (sum * angle - 2 * (1 - aspect) * turned) / (swing * swing) - sin(angle) / swing
    return 2 / .pi * integral
  }
}
