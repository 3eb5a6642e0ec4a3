import LinearAlgebra
import Testing
import TestSupport

@Suite struct BlockProductsTests {
  /// Shapes with and without remainders of every tile: rows of 12, 8, 6 and 4, columns of 48 and 512, blocks of 16.
  @Test(
    "both products agree with sums in double precision",
    arguments: [(1, 1), (5, 47), (12, 48), (97, 49), (100, 513), (200, 1030)], [16, 32, 48, 64, 80, 128])
  func agreeWithDefinition(shape: (rows: Int, columns: Int), block: Int) {
    let (rows, columns) = shape
    // A block inside a larger matrix: rows have gaps between them.
    let whole = TestMatrices.noise(rows: rows, columns: columns + 3)
    let a = whole.view.columns(1..<columns + 1)
    let x = TestMatrices.noise(rows: columns, columns: block, seed: 2)
    let y = Matrix<Float>(repeating: 0.5, rows: rows, columns: block)
    blockProduct(a, x.view, into: y.view, accumulates: true)
    let z = Matrix<Float>(repeating: 0.25, rows: block, columns: columns)
    let coefficients = TestMatrices.noise(rows: rows, columns: block, seed: 3)
    addTransposedProduct(a, coefficients.view, into: z.view)
    // Each sum has n terms below 1 in magnitude: n rounding errors of 2⁻²⁴ each, with a margin for growth.
    let (rowBound, columnBound) = (Double(columns + 2) * 0x1p-22, Double(rows + 2) * 0x1p-22)
    for vector in stride(from: 0, to: block, by: 5) {
      for row in 0..<rows {
        let exact = (0..<columns).reduce(0.5) { $0 + Double(whole[row, $1 + 1]) * Double(x[$1, vector]) }
        #expect(abs(Double(y[row, vector]) - exact) <= rowBound)
      }
      for column in 0..<columns {
        let exact = (0..<rows).reduce(0.25) {
          $0 + Double(whole[$1, column + 1]) * Double(coefficients[$1, vector])
        }
        #expect(abs(Double(z[vector, column]) - exact) <= columnBound)
      }
    }
  }
}
