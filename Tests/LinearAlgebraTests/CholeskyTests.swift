import LinearAlgebra
import Testing

@Suite struct CholeskyTests {
  @Test("solutions solve, with a shift too", arguments: [0, 0.5])
  func solves(shift: Double) throws {
    let vectors = Matrix<Double>(normal: CounterRandom(seed: 1, name: "rows"), rows: 5, columns: 9)
    let gram = rowProducts(vectors, vectors)
    let right = Matrix<Double>(normal: CounterRandom(seed: 2, name: "right"), rows: 5, columns: 3)
    let solution = right.copy()
    let factor = Cholesky(lowerTriangle: gram, shift: shift)
    try #require(factor).solve(solution.view)
    for row in 0..<5 {
      for column in 0..<3 {
        let sum = (0..<5).reduce(shift * solution[row, column]) { $0 + gram[row, $1] * solution[$1, column] }
        #expect(abs(sum - right[row, column]) < 1e-11)
      }
    }
  }

  @Test("a matrix that is not positive definite has no factor, until it is shifted enough")
  func indefinite() {
    let matrix = Matrix([1.0, 2, 2, 1], rows: 2, columns: 2)
    let none = Cholesky(lowerTriangle: matrix)
    let shifted = Cholesky(lowerTriangle: matrix, shift: 1.5)
    #expect((none == nil) && (shifted != nil))
  }
}
