internal import COpenBLAS

/// The thin SVD of a whole matrix in double precision by LAPACK's divide and conquer (dgesdd).
///
/// For small singular values and their vectors, which neither single precision nor a Gram matrix resolves.
package struct DoubleSVD: ~Copyable {
  /// m × min(m, n).
  package let u: Matrix<Double>
  /// Descending.
  package let s: [Double]
  /// min(m, n) × n.
  package let vh: Matrix<Double>

  /// Decomposes a matrix of finite entries.
  ///
  /// The largest entry of each column of U is positive, the first of equals.
  package init(of matrix: borrowing Matrix<Double>) throws(LAPACKError) {
    let (rows, columns) = matrix.shape
    let rank = min(rows, columns)
    var work = matrix.copy()
    var left = Matrix<Double>(uninitializedRows: rows, columns: rank)
    var right = Matrix<Double>(uninitializedRows: rank, columns: columns)
    var values = [Double](repeating: 0, count: rank)
    // Row-major A is Aᵀ to LAPACK: see `DenseSVD`.
    let info = work.withMutableElements { a in
      right.withMutableElements { leftOfTransposed in
        left.withMutableElements { rightOfTransposed in
          LAPACKE_dgesdd(
            LAPACK_COL_MAJOR, 83, blasInteger(columns), blasInteger(rows), a.baseAddress,
            blasInteger(max(1, columns)), &values, leftOfTransposed.baseAddress, blasInteger(max(1, columns)),
            rightOfTransposed.baseAddress, blasInteger(max(1, rank)))
        }
      }
    }
    try checkLAPACK(info, "dgesdd", rows: rows, columns: columns)
    for (index, sign) in left.transposed().signsOfLargest().enumerated() where sign < 0 {
      for row in 0..<rows { left[row, index].negate() }
      right.view.scaleRow(index, by: -1)
    }
    u = left
    s = values
    vh = right
  }
}
