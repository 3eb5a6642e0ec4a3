internal import COpenBLAS

/// A = Q·R by Householder reflections, without pivoting; signs as LAPACK has them.
package struct HouseholderQR: ~Copyable {
  /// m × n with orthonormal columns.
  package let q: Matrix<Double>
  /// n × n, upper triangular.
  package let r: Matrix<Double>

  /// Factors a matrix with at least as many rows as columns.
  package init(of matrix: borrowing Matrix<Double>) throws(LAPACKError) {
    let (rows, columns) = matrix.shape
    precondition(rows >= columns, "a thin QR factorisation needs at least as many rows as columns")
    var work = matrix.copy()
    var reflectors = [Double](repeating: 0, count: max(1, columns))
    let (m, n, stride) = (blasInteger(rows), blasInteger(columns), blasInteger(max(1, columns)))
    // Row-major A is Aᵀ to LAPACK, and the LQ factors of Aᵀ are the transposed ones of A.
    var info = work.withMutableElements {
      LAPACKE_dgelqf(LAPACK_COL_MAJOR, n, m, $0.baseAddress, stride, &reflectors)
    }
    try checkLAPACK(info, "dgelqf", rows: rows, columns: columns)
    let upper = Matrix<Double>(repeating: 0, rows: columns, columns: columns)
    for row in 0..<columns {
      let (source, target) = (work.view.row(row), upper.view.row(row))
      for column in row..<columns { target[column] = source[column] }
    }
    info = work.withMutableElements {
      LAPACKE_dorglq(LAPACK_COL_MAJOR, n, m, n, $0.baseAddress, stride, &reflectors)
    }
    try checkLAPACK(info, "dorglq", rows: rows, columns: columns)
    q = work
    r = upper
  }
}
