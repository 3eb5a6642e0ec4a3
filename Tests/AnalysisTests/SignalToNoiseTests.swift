import Analysis
import Testing

@Suite struct SignalToNoiseTests {
  /// Singular values of a matrix of a shape, and what comes of them.
  struct Golden {
    let values: [Double]
    let shape: (Int, Int)
    let threshold: Double
    let ratio: Double

    init(_ values: [Double], _ rows: Int, _ columns: Int, _ threshold: Double, _ ratio: Double) {
      self.values = values
      shape = (rows, columns)
      self.threshold = threshold
      self.ratio = ratio
    }
  }

  private static let falling: [Double] = [8, 7, 6, 5, 4, 3, 2, 1]

  @Test(
    "spectra have the thresholds and ratios of the published tool",
    arguments: [
      Golden([10, 3, 2, 1], 4, 4, 4.447739065974797, 0.5 / 3),
      Golden([10, 3, 2, 1], 4, 8, 3.796382760236948, 0.5 / 3),
      Golden([10, 3, 2, 1], 100, 4, 2.6686434395848777, 1.3 / 3), Golden([2, 2, 2, 2], 4, 4, 0, 4),
      Golden([7.5], 1, 320, 0, 1), Golden(falling, 8, 8, 5.189028910303929, 0.175),
      Golden(falling, 8, 32, 3.8917716827279465, 0.625),
      // Nothing but the first is signal; all is zero; what is not signal is zero.
      Golden([1, 0, 0, 0], 4, 4, 0.370644922164566, .infinity), Golden([0, 0], 2, 2, 0, .infinity),
      Golden([3, 3, 0], 3, 3, 2.223869532987398, .infinity),
    ])
  func golden(_ golden: Golden) {
    let found = SignalToNoise(
      singularValues: golden.values, rows: golden.shape.0, columns: golden.shape.1)
    #expect(abs(found.threshold - golden.threshold) < 1e-12)
    #expect(found.ratio == golden.ratio || abs(found.ratio - golden.ratio) < 1e-12)
  }

  @Test("the ratio goes with the scale of the weights, although a ratio should not")
  func scale() {
    let values = Self.falling
    let once = SignalToNoise(singularValues: values, rows: 8, columns: 9)
    let small = SignalToNoise(singularValues: values.map { $0 / 50 }, rows: 8, columns: 9)
    #expect(abs(small.ratio / once.ratio - 50) < 1e-9)
  }
}
