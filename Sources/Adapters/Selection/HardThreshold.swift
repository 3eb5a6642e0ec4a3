internal import Foundation

/// The optimal hard threshold for singular values in white noise of unknown strength.
///
/// Gavish and Donoho, *The Optimal Hard Threshold for Singular Values is 4/√3* (2014): with β = m/n ≤ 1 keep those above
/// ω(β)·median, ω = λ/√μ, where λ(β) = √(2(β+1) + 8β/((β+1) + √(β²+14β+1))) and μ is the median of the
/// Marchenko-Pastur law. ω is computed, not the paper's cubic fit. The median must be among the values that are stored; where
/// it is not, the noise is told from the energy that they leave.
package struct HardThreshold {
  /// What to keep is above it.
  package let value: Double

  /// The threshold for a spectrum.
  package init(_ spectrum: ModuleSpectrum) {
    let (short, long) = (spectrum.fullRank, spectrum.shape.max() ?? 1)
    let law = MarchenkoPastur(aspect: Double(short) / Double(max(1, long)))
    if let median = median(of: spectrum) {
      value = law.hardThreshold / law.median.squareRoot() * median
    } else {
      value = law.hardThreshold * noise(spectrum, law) * Double(long).squareRoot()
    }
  }
}

/// The median of all singular values, zeros included; nil if it is not known.
private func median(of spectrum: ModuleSpectrum) -> Double? {
  let count = spectrum.fullRank
  func value(_ index: Int) -> Double? {
    index < spectrum.values.count ? spectrum.values[index] : spectrum.isComplete ? 0 : nil
  }
  guard let upper = value((count - 1) / 2), let lower = value(count / 2) else { return nil }
  return (upper + lower) / 2
}

/// The noise of an entry, such that noise alone would leave the energy that the stored values leave.
///
/// Of the values stored, those that the threshold keeps are signal, and the others are the largest of the noise; which are
/// which depends on the noise, hence the repetition.
private func noise(_ spectrum: ModuleSpectrum, _ law: MarchenkoPastur) -> Double {
  let (count, long) = (spectrum.fullRank, Double(spectrum.shape.max() ?? 1))
  let stored = spectrum.values.count
  let left = max(0, spectrum.energy - spectrum.values.reversed().reduce(0) { $0 + $1 * $1 })
  var signalCount = stored
  var noise = 0.0
  for _ in 0..<20 {
    let noiseCount = max(1, count - signalCount)
    let share = Double(count - stored) / Double(noiseCount)
    noise = (left / (Double(noiseCount) * long * law.meanBelow(quantile: share))).squareRoot()
    let threshold = law.hardThreshold * noise * long.squareRoot()
    let kept = spectrum.values.prefix { $0 > threshold }.count
    if kept == signalCount { break }
    signalCount = kept
  }
  return noise
}

/// The law of the squared singular values of white noise, divided by the longer side.
package struct MarchenkoPastur {
  private let aspect: Double
  /// Shares of the law and of its mean below each of a number of points, ascending.
  private let points: [(value: Double, share: Double, mean: Double)]

  /// The law for an aspect ratio from above 0 to 1.
  package init(aspect: Double) {
    self.aspect = aspect
    // With x = 1 + β + 2√β·cos φ the density is 2sin²φ/(πx) dφ, which is smooth.
    let count = 4_000
    var (share, mean) = (0.0, 0.0)
    points = (0..<count).map { step in
      let angle = Double.pi * (1 - (Double(step) + 0.5) / Double(count))
      let value = 1 + aspect + 2 * aspect.squareRoot() * cos(angle)
      let weight = 2 * sin(angle) * sin(angle) / Double(count)
      share += weight / value
      mean += weight
      return (value, share, mean)
    }
  }

  /// λ(β): the threshold for noise of strength 1, in units of the square root of the longer side.
  package var hardThreshold: Double {
    let root = (aspect * aspect + 14 * aspect + 1).squareRoot()
    return (2 * (aspect + 1) + 8 * aspect / (aspect + 1 + root)).squareRoot()
  }

  /// μ(β): half of the values are below it.
  package var median: Double {
    let total = points.last?.share ?? 1
    guard let upper = points.firstIndex(where: { $0.share >= total / 2 }), upper > 0 else { return 1 }
    let (low, high) = (points[upper - 1], points[upper])
    // A point stands for the middle of its step, its share for the step's end.
    let within = (total / 2 - low.share) / (high.share - low.share)
    let step = high.value - low.value
    return high.value + (within - 0.5) * step
  }

  /// The part of the mean, which is 1 for all, that the smallest values up to a share of them have.
  ///
  /// - Parameter quantile: From 0 to 1.
  /// - Returns: 0 to 1.
  package func meanBelow(quantile: Double) -> Double {
    let total = points.last?.share ?? 1
    let mean = points.last?.mean ?? 1
    return (points.first { $0.share >= quantile * total * (1 - 1e-12) }?.mean ?? mean) / mean
  }
}
