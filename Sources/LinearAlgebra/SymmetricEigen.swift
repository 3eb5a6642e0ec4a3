internal import COpenBLAS

/// The eigenvalues of a symmetric matrix in descending order, and its eigenvectors as rows.
package struct SymmetricEigen: ~Copyable {
  package let values: [Double]
  /// Row i is the eigenvector of `values[i]`; no rows if only values were asked for.
  package let vectors: Matrix<Double>

  /// Decomposes the matrix whose lower triangle is given, by divide and conquer (LAPACK's dsyevd).
  package init(lowerTriangle matrix: borrowing Matrix<Double>, wantsVectors: Bool) throws(LAPACKError) {
    let order = matrix.rowCount
    precondition(matrix.columnCount == order, "a symmetric matrix is square")
    var work = Matrix<Double>(uninitializedRows: order, columns: order)
    work.view.copy(from: matrix.view)
    var ascending = [Double](repeating: 0, count: order)
    // The lower triangle of row-major storage is the upper one of LAPACK's column-major reading, and the
    // eigenvectors it leaves in columns are rows here: nothing is transposed.
    let info = work.withMutableElements { elements in
      LAPACKE_dsyevd(
        LAPACK_COL_MAJOR, wantsVectors ? 86 : 78, 85, blasInteger(order), elements.baseAddress,
        blasInteger(max(1, order)), &ascending)
    }
    try checkLAPACK(info, "dsyevd", rows: order, columns: order)
    values = ascending.reversed()
    vectors = Matrix<Double>(uninitializedRows: wantsVectors ? order : 0, columns: order)
    for row in 0..<vectors.rowCount {
      vectors.view.rows(row..<row + 1).copy(from: work.view.rows((order - 1 - row)..<(order - row)))
    }
  }
}
