internal import LinearAlgebra

/// Orthonormal rows that span the rows of a block, turned so that those that hold most energy come first.
///
/// The eigenvectors of the Gram matrix in double precision turn the rows until they are orthogonal; what rounding
/// left is removed by CholeskyQR, twice. Rows that were dependent (a stack of low rank has few directions) are
/// replaced by random ones, so that the basis is always orthonormal.
///
/// - Parameters:
///   - block: s × n with s ≤ n, of any scale; not changed.
///   - leadingCount: Rows that are turned among themselves and come first; the others follow, as far as they are new.
///   - random: Where missing rows are drawn from.
/// - Returns: s × n.
/// - Throws: `LAPACKError` if the eigenvalues do not converge.
func leadingBasis(of block: MatrixView<Float>, leadingCount: Int, random: CounterRandom) throws -> Matrix<
  Float
> {
  let basis = Matrix<Float>(uninitializedRows: block.rowCount, columns: block.columnCount)
  for rows in [0..<leadingCount, leadingCount..<block.rowCount] where !rows.isEmpty {
    let eigen = try SymmetricEigen(lowerTriangle: gramMatrix(block.rows(rows)), wantsVectors: true)
    let rotation = eigen.vectors.narrowed()
    multiply(rotation.view, block.rows(rows), into: basis.view.rows(rows))
  }
  normalizeRows(basis.view)
  completeOrthonormally(basis.view, random: random)
  return basis
}

/// Makes rows orthonormal in place; those that depend on others are replaced by random directions.
func completeOrthonormally(_ block: MatrixView<Float>, random: CounterRandom) {
  var replaced = 0
  var cleanRounds = 0
  // Twice without a dependent row is orthonormal to rounding; random rows need no more than a few rounds.
  while cleanRounds < 2 && replaced < 16 {
    let dependent = orthonormalizeRows(block)
    guard !dependent.isEmpty else {
      cleanRounds += 1
      continue
    }
    cleanRounds = 0
    for row in dependent {
      random.fillUniform(block.rows(row..<row + 1), block: replaced * block.rowCount + row)
    }
    replaced += 1
  }
}

/// Brings rows of very different lengths to length 1, each by its own norm in double precision.
private func normalizeRows(_ block: MatrixView<Float>) {
  for row in 0..<block.rowCount {
    let norm = block.rows(row..<row + 1).sumOfSquares().squareRoot()
    if norm > 0 { block.rows(row..<row + 1).scale(by: 1 / norm) }
  }
}

extension Matrix where Element == Double {
  /// All entries in single precision.
  borrowing func narrowed() -> Matrix<Float> {
    let result = Matrix<Float>(uninitializedRows: rowCount, columns: columnCount)
    for row in 0..<rowCount {
      let (narrow, wide) = (result.view.row(row), view.row(row))
      for column in wide.indices { narrow[column] = Float(wide[column]) }
    }
    return result
  }
}
