import LinearAlgebra
import TestSupport
import Testing

@Suite struct OrthonormalizationTests {
  @Test("two rounds make ill-conditioned rows orthonormal", arguments: [1.0, 1e-2, 1e-4])
  func conditioned(smallest: Double) {
    let spectrum = (0..<24).map { 1 - (1 - smallest) * Double($0) / 23 }
    let rows = TestMatrices.withSpectrum(spectrum, rows: 24, columns: 300)
    #expect(orthonormalizeRows(rows.view).isEmpty)
    #expect(orthonormalizeRows(rows.view).isEmpty)
    #expect(orthogonalityError(ofRows: rows) < 1e-6)
  }

  @Test("dependent rows are named and set to zero, the others stay")
  func dependent() {
    var rows = TestMatrices.noise(rows: 6, columns: 50)
    for column in 0..<50 {
      rows[2, column] = 3 * rows[0, column] - rows[1, column]
      rows[4, column] = 0
    }
    #expect(orthonormalizeRows(rows.view) == [2, 4])
    for column in 0..<50 { #expect(rows[2, column] == 0 && rows[4, column] == 0) }
    let gram = gramMatrix(rows.view)
    for row in [0, 1, 3, 5] { #expect(abs(gram[row, row] - 1) < 1e-5) }
  }
}
