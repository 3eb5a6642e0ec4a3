import LinearAlgebra
import TestSupport
import Testing

@Suite struct ProductSVDTests {
  @Test(
    "the leading triplets of a product are those of the matrix",
    arguments: [(60, 7, 40), (30, 45, 20), (8, 1, 9), (5, 12, 30)])
  func matrix(rows: Int, inner: Int, columns: Int) throws {
    let left = TestMatrices.noise(rows: rows, columns: inner)
    let right = TestMatrices.noise(rows: inner, columns: columns, seed: 2)
    let whole = Matrix<Float>(uninitializedRows: rows, columns: columns)
    multiply(left.view, right.view, into: whole.view)
    let spectrum = try ExactSpectrum(of: whole).energies
    let rank = min(4, inner)
    let svd = try ProductSVD(of: left, times: right, rank: rank)
    #expect(svd.s.count == rank)
    for (value, energy) in zip(svd.s, spectrum) { #expect(abs(value * value - energy) < 1e-5 * spectrum[0]) }
    var weighted = Matrix<Float>(uninitializedRows: rows, columns: rank)
    svd.u.scaleColumns(by: svd.s.map { Float($0) }, into: &weighted)
    let leftOver = residualSumOfSquares(of: whole, minus: weighted, times: svd.vh)
    let optimum = spectrum.dropFirst(rank).reduce(0, +)
    #expect(abs(leftOver - optimum) < 1e-5 * spectrum[0])
  }

  @Test("dependent columns and zeros do no harm")
  func dependent() throws {
    var left = TestMatrices.noise(rows: 40, columns: 5)
    var right = TestMatrices.noise(rows: 5, columns: 30, seed: 2)
    for row in 0..<40 {
      left[row, 3] = left[row, 0] - 2 * left[row, 1]
      left[row, 4] = 0
    }
    for column in 0..<30 { right[2, column] = right[1, column] }
    let whole = Matrix<Float>(uninitializedRows: 40, columns: 30)
    multiply(left.view, right.view, into: whole.view)
    let spectrum = try ExactSpectrum(of: whole).energies
    let svd = try ProductSVD(of: left, times: right, rank: 9)
    #expect(svd.s.count == 5)
    for (value, energy) in zip(svd.s, spectrum) { #expect(abs(value * value - energy) < 1e-5 * spectrum[0]) }
    let zero = Matrix<Float>(repeating: 0, rows: 40, columns: 5)
    #expect(try ProductSVD(of: zero, times: right, rank: 2).s == [0, 0])
  }
}
