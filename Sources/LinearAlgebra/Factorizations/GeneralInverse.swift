internal import COpenBLAS

extension Matrix where Element == Float {
  /// A⁻¹ by LU with row exchanges, in single precision as PyTorch finds it; nil if a pivot is zero.
  package borrowing func inverse() -> Matrix? {
    precondition(rowCount == columnCount, "only square matrices have an inverse")
    let order = blasInteger(rowCount)
    var work = Matrix(uninitializedRows: rowCount, columns: rowCount)
    work.view.copy(from: view)
    var pivots = [Int32](repeating: 0, count: max(1, rowCount))
    // The transpose's inverse is the inverse's transpose: nothing is transposed.
    let info = work.withMutableElements { elements in
      let factored = LAPACKE_sgetrf(
        LAPACK_COL_MAJOR, order, order, elements.baseAddress, max(1, order), &pivots)
      return factored != 0
        ? factored : LAPACKE_sgetri(LAPACK_COL_MAJOR, order, elements.baseAddress, max(1, order), &pivots)
    }
    if info < 0 { fatalError("sgetrf or sgetri: argument \(-info) has an illegal value") }
    if info > 0 { return nil }
    return work
  }
}
