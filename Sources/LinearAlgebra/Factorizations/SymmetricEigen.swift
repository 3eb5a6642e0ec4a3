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

  /// The `leading` largest eigenvalues with their eigenvectors, by LAPACK's dsyevr where they are few.
  ///
  /// For an eighth of them it takes half the time of divide and conquer for all; eigenvectors of close eigenvalues
  /// are orthogonal to about 1e-12 only.
  package init(lowerTriangle matrix: borrowing Matrix<Double>, leading: Int) throws(LAPACKError) {
    let order = matrix.rowCount
    precondition(matrix.columnCount == order && leading <= order, "a symmetric matrix is square")
    guard 8 * leading < order else {
      self = try SymmetricEigen(lowerTriangle: matrix, wantsVectors: true)
      return
    }
    var work = Matrix<Double>(uninitializedRows: order, columns: order)
    work.view.copy(from: matrix.view)
    var found = Matrix<Double>(uninitializedRows: leading, columns: order)
    var ascending = [Double](repeating: 0, count: order)
    var supports = [Int32](repeating: 0, count: 2 * order)
    var foundCount: Int32 = 0
    let info = work.withMutableElements { elements in
      found.withMutableElements { vectors in
        LAPACKE_dsyevr(
          LAPACK_COL_MAJOR, 86, 73, 85, blasInteger(order), elements.baseAddress, blasInteger(order), 0, 0,
          blasInteger(order - leading + 1), blasInteger(order), 0, &foundCount, &ascending,
          vectors.baseAddress, blasInteger(order), &supports)
      }
    }
    guard info == 0, foundCount == blasInteger(leading) else {
      // MRRR may give up on a tight cluster; divide and conquer does not.
      self = try SymmetricEigen(lowerTriangle: matrix, wantsVectors: true)
      return
    }
    values = ascending.prefix(leading).reversed()
    vectors = Matrix(uninitializedRows: leading, columns: order)
    for row in 0..<leading {
      vectors.view.rows(row..<row + 1).copy(from: found.view.rows((leading - 1 - row)..<(leading - row)))
    }
  }
}
