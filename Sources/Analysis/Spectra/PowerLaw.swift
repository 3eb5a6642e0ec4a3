internal import Foundation

/// A power law p(λ) ∝ λ^−α fitted to the tail of a matrix's squared singular values, as WeightWatcher does.
///
/// For every value as the tail's beginning, α is the estimate of largest likelihood (Clauset, Shalizi and Newman,
/// 2009); the beginning whose tail is closest to its power law, by Kolmogorov's and Smirnov's distance, is taken.
public struct PowerLaw: Sendable, Codable, Equatable {
  /// The exponent of the density of squared singular values.
  public let alpha: Double
  /// The squared singular value where the tail begins.
  public let tailStart: Double
  /// Squared singular values in the tail.
  public let tailCount: Int
  /// The largest distance of the tail's distribution from its power law.
  public let distance: Double

  /// Squares up to this are no part of a spectrum of weights.
  public static let smallestSquare = 1e-5
  /// Fewer squares say nothing about a tail.
  private static let leastCount = 10

  /// Fits a power law; nil for too few values.
  ///
  /// - Parameters:
  ///   - singularValues: In descending order.
  ///   - limit: Only squares above it count.
  public init?(singularValues: [Double], squaresAbove limit: Double = smallestSquare) {
    let squares = singularValues.reversed().map { $0 * $0 }.filter { $0 > limit }
    guard squares.count >= Self.leastCount else { return nil }
    let logarithms = squares.map { log($0) }
    var best: PowerLaw?
    var sum = logarithms.reduce(0, +)
    for start in squares.indices.dropLast() {
      let count = squares.count - start
      let spread = sum - Double(count) * logarithms[start]
      sum -= logarithms[start]
      guard spread > 0 else { continue }
      let alpha = 1 + Double(count) / spread
      let distance = largestGap(of: logarithms[start...], alpha: alpha, below: best?.distance ?? .infinity)
      if let distance {
        best = PowerLaw(alpha: alpha, tailStart: squares[start], tailCount: count, distance: distance)
      }
    }
    guard let best else { return nil }
    self = best
  }

  private init(alpha: Double, tailStart: Double, tailCount: Int, distance: Double) {
    self.alpha = alpha
    self.tailStart = tailStart
    self.tailCount = tailCount
    self.distance = distance
  }
}

/// The distance of a tail from its power law; nil once it is not below a limit.
private func largestGap(of tail: ArraySlice<Double>, alpha: Double, below limit: Double) -> Double? {
  guard let first = tail.first else { return nil }
  let count = Double(tail.count)
  var largest = 0.0
  for (place, logarithm) in tail.enumerated() {
    let expected = 1 - exp((1 - alpha) * (logarithm - first))
    largest = max(largest, abs(expected - Double(place) / count))
    if largest >= limit { return nil }
  }
  return largest
}
