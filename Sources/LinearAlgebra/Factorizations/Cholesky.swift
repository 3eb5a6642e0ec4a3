internal import COpenBLAS

/// The Cholesky factor of a positive definite matrix in double precision, for solving with it.
///
/// A class, so that an array holds one for each mode or block.
package final class Cholesky: Sendable {
  private let lower: Matrix<Double>

  /// Factors A + shift·I for the symmetric A whose lower triangle is given; nil if that is not positive definite.
  package init?(lowerTriangle matrix: borrowing Matrix<Double>, shift: Double = 0) {
    let order = matrix.rowCount
    precondition(matrix.columnCount == order, "a symmetric matrix is square")
    var work = Matrix<Double>(uninitializedRows: order, columns: order)
    work.view.copy(from: matrix.view)
    for row in 0..<order { work[row, row] += shift }
    // The lower triangle of row-major storage is the upper one of LAPACK's column-major reading.
    let info = work.withMutableElements { elements in
      LAPACKE_dpotrf(
        LAPACK_COL_MAJOR, 85, blasInteger(order), elements.baseAddress, blasInteger(max(1, order)))
    }
    lower = work
    guard info == 0 else { return nil }
  }

  /// B ← A⁻¹·B.
  package func solve(_ b: MatrixView<Double>) {
    precondition(b.rowCount == lower.rowCount, "matrix and right sides differ")
    guard b.rowCount > 0, b.columnCount > 0 else { return }
    for transpose in [CblasNoTrans, CblasTrans] {
      cblas_dtrsm(
        CblasRowMajor, CblasLeft, CblasLower, transpose, CblasNonUnit, blasInteger(b.rowCount),
        blasInteger(b.columnCount), 1, lower.view.base, blasInteger(lower.rowCount), b.base,
        blasInteger(max(1, b.stride)))
    }
  }
}
