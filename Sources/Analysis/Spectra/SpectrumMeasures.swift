internal import Foundation

/// What the singular values of a weight matrix, or of the difference of two, tell about it.
public struct SpectrumMeasures: Sendable, Codable, Equatable {
  /// The largest singular value.
  public let largest: Double
  /// The smallest of all min(rows, columns) singular values.
  public let smallest: Double
  /// ‖W‖_F.
  public let norm: Double
  /// Standard deviation of an entry if the median singular value is one of noise.
  public let noise: Double
  /// Where noise of that deviation ends: the edge of Marchenko's and Pastur's law.
  public let noiseEdge: Double
  /// Singular values above the edge.
  public let aboveEdge: Int
  /// Their share of ‖W‖_F².
  public let energyAboveEdge: Double
  /// ‖W‖_F² / σ₁².
  public let stableRank: Double
  /// exp(H) for the entropy H of σ / Σσ: the effective rank of Roy and Vetterli; 0 for zeros only.
  public let entropyRank: Double
  /// The exponent of a power law of the squared singular values; nil for too few values.
  public let powerLaw: PowerLaw?
  /// σ₁ / σₙ; nil for a singular matrix.
  public let conditionNumber: Double?

  /// What a matrix is.
  public enum Subject: Sendable {
    /// Weights, whose power law takes the squares that WeightWatcher takes.
    case weights
    /// A difference, which may be of any size: values below 1e-5 of the largest are rounding to its power law.
    case difference
  }

  /// Measures of the singular values, in descending order, of a matrix of a shape.
  public init(singularValues values: [Double], rows: Int, columns: Int, of subject: Subject = .weights) {
    precondition(
      values.count == min(rows, columns) && !values.isEmpty, "a value for each of the shorter side")
    let energy = values.reversed().reduce(0) { $0 + $1 * $1 }
    let law = MarchenkoPastur(rows: rows, columns: columns)
    let noise = law.noise(medianSingularValue: quantile(0.5, ofDescending: values))
    let edge = law.edge(noise: noise)
    let above = values.prefix { $0 > edge }
    largest = values[0]
    smallest = values[values.count - 1]
    norm = energy.squareRoot()
    self.noise = noise
    noiseEdge = edge
    aboveEdge = above.count
    energyAboveEdge = energy > 0 ? above.reversed().reduce(0) { $0 + $1 * $1 } / energy : 0
    stableRank = energy > 0 ? energy / (values[0] * values[0]) : 0
    entropyRank = energy > 0 ? exp(entropy(of: values)) : 0
    switch subject {
    case .weights: powerLaw = PowerLaw(singularValues: values)
    case .difference: powerLaw = PowerLaw(singularValues: values, squaresAbove: 1e-10 * values[0] * values[0])
    }
    conditionNumber = smallest > 0 ? largest / smallest : nil
  }
}

/// A quantile by linear interpolation between the nearest two values, NumPy's and PyTorch's rule.
///
/// - Parameters:
///   - share: From 0, the smallest value, to 1, the largest.
///   - values: At least one, in descending order.
/// - Returns: The quantile.
func quantile(_ share: Double, ofDescending values: [Double]) -> Double {
  let position = share * Double(values.count - 1)
  let below = Int(position)
  let low = values[values.count - 1 - below]
  guard below + 1 < values.count else { return low }
  return low + (position - Double(below)) * (values[values.count - 2 - below] - low)
}

/// −Σ p ln p for p = σ / Σσ, of which some must be above 0.
private func entropy(of values: [Double]) -> Double {
  let sum = values.reversed().reduce(0, +)
  return -values.reversed().reduce(0) { $1 > 0 ? $0 + $1 / sum * log($1 / sum) : $0 }
}
