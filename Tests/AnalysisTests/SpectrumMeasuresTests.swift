import Analysis
import Foundation
import LinearAlgebra
import TestSupport
import Testing

@Suite struct SpectrumMeasuresTests {
  @Test(
    "the law's median is the one of its density",
    arguments: [(1.0, 0.6528), (0.75, 0.7429), (0.5, 0.8305), (0.25, 0.9160), (0.1, 0.9666), (0.05, 0.9833)])
  func median(aspect: Double, expected: Double) {
    let median = MarchenkoPastur(rows: 400, columns: Int(400 * aspect)).medianOfSquares
    #expect(abs(median - expected) < 1e-4)
    // Independently, by the middle sum over the density itself.
    let (low, high) = (pow(1 - aspect.squareRoot(), 2), pow(1 + aspect.squareRoot(), 2))
    let count = 400_000
    let mass = (0..<count).reduce(0.0) { sum, step in
      let x = low + (median - low) * (Double(step) + 0.5) / Double(count)
      return sum + ((high - x) * (x - low)).squareRoot() / (2 * .pi * aspect * x)
    }
    #expect(abs(mass * (median - low) / Double(count) - 0.5) < 2e-3)
  }

  @Test("the law's median stays right for vectors and nearly square matrices")
  func extremes() {
    #expect(abs(MarchenkoPastur(rows: 1, columns: 100_000).medianOfSquares - 1) < 1e-4)
    let square = MarchenkoPastur(rows: 1000, columns: 1000).medianOfSquares
    #expect(abs(MarchenkoPastur(rows: 1000, columns: 999).medianOfSquares - square) < 1e-3)
  }

  @Test(
    "noise ends at the edge, and what is planted stands above it",
    arguments: [(240, 240), (180, 360), (64, 800)])
  func edge(rows: Int, columns: Int) throws {
    let noise = TestMatrices.noise(rows: rows, columns: columns)
    let measures = try measures(of: noise)
    #expect(abs(measures.noise * 3.0.squareRoot() - 1) < 0.03, "uniform entries have variance 1/3")
    #expect(measures.aboveEdge <= 2)
    #expect(abs(measures.largest / measures.noiseEdge - 1) < 0.04)
    let strength = 3 * measures.noiseEdge
    let planted = TestMatrices.withSpectrum([2 * strength, strength], rows: rows, columns: columns)
    planted.withElements { source in
      for index in source.indices { noise.view.elements[index] += source[index] }
    }
    let found = try self.measures(of: noise)
    #expect((2...4).contains(found.aboveEdge))
    #expect(abs(found.noise / measures.noise - 1) < 0.02)
    let energy = 5 * strength * strength / (found.norm * found.norm)
    #expect(abs(found.energyAboveEdge / energy - 1) < 0.1)
  }

  private func measures(of matrix: borrowing Matrix<Float>) throws -> SpectrumMeasures {
    SpectrumMeasures(
      singularValues: try singularValues(of: matrix), rows: matrix.rowCount, columns: matrix.columnCount)
  }

  @Test("ranks and condition are those of their definitions")
  func definitions() {
    let values = (1...20).reversed().map { Double($0) }
    let found = SpectrumMeasures(singularValues: values, rows: 20, columns: 30)
    #expect(abs(found.stableRank - 7.175) < 1e-12)
    #expect(abs(found.entropyRank - 16.864189159313273) < 1e-12)
    #expect(found.conditionNumber == 20)
    #expect(abs(found.norm - 2870.0.squareRoot()) < 1e-12)
    let flat = SpectrumMeasures(singularValues: [3, 3, 3], rows: 3, columns: 3)
    #expect(abs(flat.stableRank - 3) < 1e-12 && abs(flat.entropyRank - 3) < 1e-12)
    let zero = SpectrumMeasures(singularValues: [0, 0], rows: 2, columns: 5)
    #expect(zero.stableRank == 0 && zero.entropyRank == 0)
    #expect(zero.conditionNumber == nil && zero.energyAboveEdge == 0)
  }

  @Test("power laws are WeightWatcher's")
  func powerLaw() throws {
    // From NumPy, by the formula with powers instead of logarithms.
    let cases: [([Double], Double, Int, Double)] = [
      ((1...64).map { 10 / Double($0).squareRoot() }, 2.0491748609389466, 64, 0.017657793653215514),
      ((1...64).map { 10 * exp(-Double($0) / 20) }, 1.3174603174603174, 64, 0.15887583965665197),
      ((1...20).reversed().map { Double($0) }, 3.187218098721589, 8, 0.22179298066037378),
    ]
    for (values, alpha, count, distance) in cases {
      let found = try #require(PowerLaw(singularValues: values))
      #expect(abs(found.alpha - alpha) < 1e-9)
      #expect(found.tailCount == count)
      #expect(abs(found.distance - distance) < 1e-12)
    }
    // A difference may be of any size, and what is no more than rounding is no part of its tail.
    let small = cases[0].0.map { 1e-4 * $0 } + [Double](repeating: 1e-9, count: 36)
    let difference = SpectrumMeasures(singularValues: small, rows: 100, columns: 100, of: .difference)
    #expect(abs(try #require(difference.powerLaw).alpha - cases[0].1) < 1e-9)
    #expect(SpectrumMeasures(singularValues: small, rows: 100, columns: 100).powerLaw == nil)
    #expect(PowerLaw(singularValues: (1...9).map { Double(10 - $0) }) == nil, "too few")
    #expect(PowerLaw(singularValues: [Double](repeating: 2, count: 20)) == nil, "equal ones have no tail")
  }
}
