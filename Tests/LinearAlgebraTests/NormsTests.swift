import LinearAlgebra
import TestSupport
import Testing

@Suite struct NormsTests {
  @Test("sums of squares are right where single precision is not")
  func manyElements() {
    let matrix = Matrix<Float>(repeating: 0.1, rows: 3000, columns: 1001)
    let exact = Double(Float(0.1)) * Double(Float(0.1)) * 3_003_000
    #expect(abs(matrix.sumOfSquares() / exact - 1) < 1e-10)
  }

  @Test("an empty matrix has energy 0 and no bad entry")
  func empty() {
    let matrix = Matrix<Float>(uninitializedRows: 0, columns: 4)
    #expect(matrix.sumOfSquares() == 0 && matrix.firstNonFinite() == nil)
  }

  @Test("the first entry that is not finite is found", arguments: [Float.nan, .infinity, -.infinity])
  func nonFinite(value: Float) throws {
    var matrix = TestMatrices.noise(rows: 30, columns: 20)
    matrix[7, 3] = value
    matrix[29, 19] = value
    let found = matrix.firstNonFinite()
    #expect(found?.row == 7 && found?.column == 3)
  }

  @Test("the residual of a product is its definition")
  func residual() {
    let matrix = TestMatrices.noise(rows: 50, columns: 40, seed: 1)
    let left = TestMatrices.noise(rows: 50, columns: 3, seed: 2)
    let right = TestMatrices.noise(rows: 3, columns: 40, seed: 3)
    var sum = 0.0
    for row in 0..<50 {
      for column in 0..<40 {
        let product = (0..<3).reduce(0.0) { $0 + Double(left[row, $1]) * Double(right[$1, column]) }
        sum += (Double(matrix[row, column]) - product) * (Double(matrix[row, column]) - product)
      }
    }
    #expect(abs(residualSumOfSquares(of: matrix, minus: left, times: right) / sum - 1) < 1e-6)
  }
}
