import LinearAlgebra
import Testing

@Suite struct VectorOperationsTests {
  @Test("sums over blocks with gaps are their definitions")
  func blocks() {
    let whole = Matrix<Double>(normal: CounterRandom(seed: 1, name: "whole"), rows: 4, columns: 7)
    let block = whole.view.columns(2..<5)
    let other = Matrix<Double>(normal: CounterRandom(seed: 2, name: "other"), rows: 4, columns: 3)
    var (inner, square) = (0.0, 0.0)
    for row in 0..<4 {
      for column in 0..<3 {
        inner += whole[row, column + 2] * other[row, column]
        square += whole[row, column + 2] * whole[row, column + 2]
      }
    }
    #expect(abs(innerProduct(block, other.view) - inner) < 1e-13)
    #expect(abs(block.sumOfSquares() - square) < 1e-13)
    let target = other.copy()
    add(block, times: -2, into: target.view)
    #expect(abs(target[3, 1] - (other[3, 1] - 2 * whole[3, 3])) < 1e-15)
    #expect(abs(whole.rowNorms()[2] * whole.rowNorms()[2] - whole.view.rows(2..<3).sumOfSquares()) < 1e-13)
  }

  @Test("a matrix times a vector, as it lies and transposed")
  func vectors() {
    let whole = Matrix<Double>(normal: CounterRandom(seed: 1, name: "whole"), rows: 4, columns: 7)
    let block = whole.view.columns(1..<4)
    let (x, y) = (
      SharedMatrix(Matrix([1.0, -2, 3], rows: 1, columns: 3)),
      SharedMatrix(Matrix([1.0, 2, 3, 4], rows: 1, columns: 4))
    )
    let result = Matrix<Double>(uninitializedRows: 1, columns: 4)
    multiply(block, vector: x.matrix.view, into: result.view)
    let transposed = Matrix<Double>(uninitializedRows: 1, columns: 3)
    multiply(block.transposed, vector: y.matrix.view, into: transposed.view)
    for row in 0..<4 {
      #expect(abs(result[0, row] - (whole[row, 1] - 2 * whole[row, 2] + 3 * whole[row, 3])) < 1e-14)
    }
    for column in 0..<3 {
      let sum = (0..<4).reduce(0.0) { $0 + Double($1 + 1) * whole[$1, column + 1] }
      #expect(abs(transposed[0, column] - sum) < 1e-13)
    }
  }

  @Test("the largest entry is the first of equals, and zero rows count as positive")
  func signs() {
    let matrix = Matrix([1.0, -3, 3, 0, 0, 0, 2, -1, 0], rows: 3, columns: 3)
    #expect(matrix.view.largestColumn(inRow: 0) == 1 && matrix.signsOfLargest() == [-1, 1, 1])
    #expect(matrix.selectingRows([2, 0]).elements == [2, -1, 0, 1, -3, 3])
    #expect(matrix.copyingColumns(1..<2).elements == [-3, 0, -1])
  }
}
