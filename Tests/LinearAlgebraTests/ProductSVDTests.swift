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
    let svd = try ProductSVD(left, right)
    #expect(svd.s.count == min(rows, inner, columns))
    for (value, energy) in zip(svd.s, spectrum) { #expect(abs(value * value - energy) < 1e-6 * spectrum[0]) }
    for rank in [1, min(4, inner), svd.s.count] {
      let kept = Array(0..<rank)
      let weighted = svd.left.selectingRows(kept).scalingRows(by: Array(svd.s.prefix(rank)))
      let leftOver = residualSumOfSquares(
        of: whole, minus: weighted.narrowed(rows: rank).transposed(), times: svd.right.narrowed(rows: rank))
      let optimum = spectrum.dropFirst(rank).reduce(0, +)
      #expect(abs(leftOver - optimum) < 1e-5 * spectrum[0])
    }
    #expect(svd.left.signsOfLargest().allSatisfy { $0 == 1 })
  }

  @Test("singular values far below the largest keep their digits, which a Gram matrix would lose")
  func smallValues() throws {
    let spectrum = [1, 1e-3, 1e-9, 1e-12]
    let diagonal = Matrix<Double>(repeating: 0, rows: 4, columns: 4)
    for (index, value) in spectrum.enumerated() { diagonal.view.row(index)[index] = value }
    let orthonormal = try HouseholderQR(
      of: TestMatrices.noise(rows: 50, columns: 4).widened())
    let right = try HouseholderQR(of: TestMatrices.noise(rows: 30, columns: 4, seed: 2).widened())
    let svd = try ProductSVD(product(orthonormal.q, diagonal), right.q.transposed())
    for (found, value) in zip(svd.s, spectrum) { #expect(abs(found / value - 1) < 1e-3) }
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
    let svd = try ProductSVD(left, right)
    #expect(svd.s.count == 5)
    for (value, energy) in zip(svd.s, spectrum) { #expect(abs(value * value - energy) < 1e-5 * spectrum[0]) }
    let zero = Matrix<Float>(repeating: 0, rows: 40, columns: 5)
    #expect(try ProductSVD(zero, right).s == [0, 0, 0, 0, 0])
  }
}
