import LinearAlgebra
import TestSupport
import Testing

@Suite struct SingularValuesTests {
  @Test("diagonal matrices have their diagonals to the last digits", arguments: [(4, 4), (4, 100), (100, 4)])
  func diagonal(rows: Int, columns: Int) throws {
    let matrix = Matrix<Float>(repeating: 0, rows: rows, columns: columns)
    for (index, value) in [2, 10, 1, 3].enumerated() { matrix.view.row(index)[index] = Float(value) }
    for (found, value) in zip(try singularValues(of: matrix), [10, 3, 2, 1] as [Double]) {
      #expect(abs(found - value) < 1e-12)
    }
  }

  @Test(
    "values that a Gram matrix cannot tell from zero are found", arguments: [10, 20, 30, 40])
  func illConditioned(power: Int) throws {
    // Exact in single precision, and known in closed form.
    let matrix = Matrix<Float>(repeating: 0, rows: 3, columns: 5)
    matrix.view.row(0)[0] = 1
    matrix.view.row(0)[1] = 1
    matrix.view.row(1)[1] = 1
    matrix.view.row(2)[2] = Float(sign: .plus, exponent: -power, significand: 1)
    let found = try singularValues(of: matrix)
    #expect(abs(found[0] * found[1] - 1) < 1e-12, "the golden section")
    #expect(abs(found[2] * Double(1 << power) - 1) < 1e-4)
  }

  @Test("a singular matrix has zeros, an empty spectrum none but zeros")
  func singular() throws {
    let matrix = TestMatrices.withSpectrum([5, 2], rows: 40, columns: 30)
    let found = try singularValues(of: matrix)
    #expect(abs(found[0] - 5) < 1e-5 && abs(found[1] - 2) < 1e-5)
    #expect(found.dropFirst(2).allSatisfy { $0 >= 0 && $0 < 1e-6 })
    #expect(found == found.sorted(by: >))
    #expect(try singularValues(of: Matrix<Float>(repeating: 0, rows: 2, columns: 3)) == [0, 0])
  }
}
