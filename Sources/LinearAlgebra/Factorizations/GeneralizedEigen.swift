internal import COpenBLAS

/// The eigenvectors of a pencil of two real square matrices without symmetry, by LAPACK's dggev.
package struct GeneralizedEigen: ~Copyable {
  /// Rows are vectors x with xᵀ·A = λ·xᵀ·B, of any length; a complex pair leaves its real and its imaginary part
  /// as two rows.
  package let leftVectors: Matrix<Double>

  package init(_ a: borrowing Matrix<Double>, _ b: borrowing Matrix<Double>) throws(LAPACKError) {
    let order = a.rowCount
    precondition(
      a.columnCount == order && b.shape == a.shape, "a pencil has two square matrices of one order")
    var first = a.copy()
    var second = b.copy()
    var found = Matrix<Double>(uninitializedRows: order, columns: order)
    var (real, imaginary, scale) = (
      [Double](repeating: 0, count: order), [Double](repeating: 0, count: order),
      [Double](repeating: 0, count: order)
    )
    // LAPACK reads the transposes: their right eigenvectors, in its columns, are our left ones, in rows.
    let size = blasInteger(order)
    let info = first.withMutableElements { first in
      second.withMutableElements { second in
        found.withMutableElements { vectors in
          LAPACKE_dggev(
            LAPACK_COL_MAJOR, 78, 86, size, first.baseAddress, max(1, size), second.baseAddress, max(1, size),
            &real, &imaginary, &scale, nil, 1, vectors.baseAddress, max(1, size))
        }
      }
    }
    try checkLAPACK(info, "dggev", rows: order, columns: order)
    leftVectors = found
  }
}
