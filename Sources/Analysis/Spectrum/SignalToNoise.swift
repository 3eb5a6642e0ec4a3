/// The signal-to-noise ratio by which Spectrum (arXiv 2406.06623) ranks the layers of a model, as its published tool
/// computes it.
///
/// It is no distance from noise: the deviation is that of the singular values and not of the entries, the threshold
/// lacks the factor √max(rows, columns), the ratio is one of sums, and dividing it by σ₁ makes it depend on the scale.
/// Only its order among modules of one type and shape means something, which is all it is used for;
/// `SpectrumMeasures.noiseEdge` is where noise really ends.
public struct SignalToNoise: Sendable, Codable, Equatable {
  /// Singular values above it are signal.
  public let threshold: Double
  /// Σ of the signal / Σ of the noise / σ₁; infinite for a noise of zeros.
  public let ratio: Double

  /// The quartiles of a normal distribution are so many standard deviations apart.
  private static let quartileDistance = 1.349

  /// The ratio for the singular values, in descending order, of a matrix of a shape.
  public init(singularValues values: [Double], rows: Int, columns: Int) {
    let distance = quantile(0.75, ofDescending: values) - quantile(0.25, ofDescending: values)
    let aspect = Double(min(rows, columns)) / Double(max(rows, columns))
    let threshold = distance / Self.quartileDistance * (1 + aspect.squareRoot())
    let signal = values.prefix { $0 > threshold }
    let noise = values[signal.count...]
    // Where nothing is noise, the tool divides by 1 (by 0 before April 2025).
    let noiseSum = noise.isEmpty ? 1 : noise.reversed().reduce(0, +)
    self.threshold = threshold
    ratio = (noiseSum > 0 ? signal.reversed().reduce(0, +) / noiseSum : .infinity) / values[0]
  }
}
