internal import COpenBLAS

/// Makes the rows of a block orthonormal in place by Cholesky QR with the Gram matrix in double precision.
///
/// - Parameter block: b × n with b ≤ n, any scale; rows may be dependent.
/// - Returns: The indices of rows that were numerically dependent on the rows before them. Those rows are set
///   to zero and left to the caller; the others span the same space as before.
///
/// One call leaves an orthogonality error near κ·u with κ the condition of the block, so callers apply it
/// twice (CholeskyQR2: Yamamoto, Nakatsukasa, Yanagisawa and Fukaya, ETNA 44, 2015), with a projection
/// against earlier vectors in between where there are any.
package func orthonormalizeRows(_ block: MatrixView<Float>) -> [Int] {
  let factor = GramCholesky(gramMatrix(block))
  orthonormalizeRows(block, by: factor)
  return factor.dependentRows
}

/// The same for some of the columns, with the factor of the whole rows' Gram matrix.
func orthonormalizeRows(_ block: MatrixView<Float>, by factor: borrowing GramCholesky) {
  for row in factor.dependentRows { block.rows(row..<row + 1).fill(0) }
  solveLowerTriangular(factor.lower.view, block)
}

/// Below this fraction of its own length, what is left of a row after projection is rounding noise.
private let dependenceThreshold = 0x1p-17

/// The Cholesky factor of a Gram matrix, with the rows of dependent vectors replaced by those of the identity.
///
/// Written out rather than handed to dpotrf, which stops at the first dependent row; b is at most a few
/// hundred and this is b³/3 operations.
package struct GramCholesky: ~Copyable {
  package let lower: Matrix<Float>
  package let dependentRows: [Int]

  package init(_ gram: borrowing Matrix<Double>) {
    let order = gram.rowCount
    let factor = Matrix<Double>(repeating: 0, rows: order, columns: order)
    var dependent: [Int] = []
    for row in 0..<order {
      let own = factor.view.row(row)
      for column in 0..<row where !dependent.contains(column) {
        let other = factor.view.row(column)
        let sum = cblas_ddot(blasInteger(column), own.baseAddress, 1, other.baseAddress, 1)
        own[column] = (gram[row, column] - sum) / other[column]
      }
      let pivot = gram[row, row] - cblas_ddot(blasInteger(row), own.baseAddress, 1, own.baseAddress, 1)
      if pivot > gram[row, row] * dependenceThreshold * dependenceThreshold {
        own[row] = pivot.squareRoot()
      } else {
        dependent.append(row)
        own.update(repeating: 0)
        own[row] = 1
      }
    }
    lower = Matrix(uninitializedRows: order, columns: order)
    for row in 0..<order {
      let (narrow, wide) = (lower.view.row(row), factor.view.row(row))
      for column in 0..<order { narrow[column] = Float(wide[column]) }
    }
    dependentRows = dependent
  }
}
