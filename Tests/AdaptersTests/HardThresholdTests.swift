import Adapters
import LinearAlgebra
import TestSupport
import Testing

/// Gavish and Donoho's threshold: the published constants, and planted ranks.
@Suite struct HardThresholdTests {
  @Test(
    "the constants are the published ones",
    arguments: [
      (1, 2.3094, 0.65278, 2.8583), (0.75, 2.1561, 0.7429, 2.5014), (0.5, 1.9786, 0.8305, 2.1712),
      (0.25, 1.758, 0.916, 1.8369), (0.2, 1.7048, 0.9329, 1.765), (0.1, 1.5816, 0.9666, 1.6088),
      (0.05, 1.5066, 0.9833, 1.5193),
    ])
  func constants(aspect: Double, threshold: Double, median: Double, ratio: Double) {
    let law = MarchenkoPastur(aspect: aspect)
    #expect(abs(law.hardThreshold - threshold) < 1e-4)
    #expect(abs(law.median - median) < 1.2e-4)
    #expect(abs(law.hardThreshold / law.median.squareRoot() - ratio) < 3e-4)
    #expect(abs(law.meanBelow(quantile: 1) - 1) < 1e-9)
    #expect(law.meanBelow(quantile: 0.5) < 0.5)
  }

  @Test(
    "a planted rank is found, from all singular values or from the first few and what they leave",
    arguments: [(200, 100), (100, 200), (128, 128), (400, 40)], [nil, 4, 12])
  func planted(shape: (Int, Int), storedCount: Int?) throws {
    let (rows, columns) = shape
    let edge = (Double(rows).squareRoot() + Double(columns).squareRoot()) / 3.0.squareRoot()
    let matrix = TestMatrices.withSpectrum(
      [8 * edge, 4 * edge, 2 * edge], rows: rows, columns: columns, seed: 3)
    let noise = TestMatrices.noise(rows: rows, columns: columns)
    let sum = Matrix(
      zip(matrix.elements, noise.elements).map { $0 + $1 }, rows: rows, columns: columns)
    let all = try ExactSpectrum(of: sum).energies.map { $0.squareRoot() }
    let spectrum = ModuleSpectrum(
      module: "m", values: Array(all.prefix(storedCount ?? all.count)), shape: [rows, columns],
      energy: all.reduce(0) { $0 + $1 * $1 }, isComplete: storedCount == nil, binadeEnergy: 0)
    var limits = RankLimits()
    limits.usesGavishDonoho = true
    #expect(limits.outcome(for: spectrum).count == 3)
    // The two ways agree on how strong the noise is.
    let whole = ModuleSpectrum(
      module: "m", values: all, shape: [rows, columns], energy: 0, isComplete: true, binadeEnergy: 0)
    let (part, known) = (HardThreshold(spectrum).value, HardThreshold(whole).value)
    #expect(abs(part - known) < 0.08 * known, "\(part) against \(known)")
  }
}
