internal import COpenBLAS

// What BLAS calls levels one and two, on blocks in double precision: a vector is a block of one row.

/// Σ aᵢⱼ·bᵢⱼ over two blocks of equal shape.
package func innerProduct(_ a: MatrixView<Double>, _ b: MatrixView<Double>) -> Double {
  precondition(a.rowCount == b.rowCount && a.columnCount == b.columnCount, "blocks differ in shape")
  var sum = 0.0
  for row in 0..<a.rowCount {
    sum += cblas_ddot(
      blasInteger(a.columnCount), a.base + row * a.stride, 1, b.base + row * b.stride, 1)
  }
  return sum
}

/// B ← B + α·A for blocks of equal shape.
package func add(_ a: MatrixView<Double>, times factor: Double, into b: MatrixView<Double>) {
  precondition(a.rowCount == b.rowCount && a.columnCount == b.columnCount, "blocks differ in shape")
  for row in 0..<a.rowCount {
    cblas_daxpy(
      blasInteger(a.columnCount), factor, a.base + row * a.stride, 1, b.base + row * b.stride, 1)
  }
}

/// y ← op(A)·x for vectors that are blocks of one row.
package func multiply(_ a: some Factor<Double>, vector x: MatrixView<Double>, into y: MatrixView<Double>) {
  let block = a.stored
  let (rows, columns) =
    a.orientation == .asStored ? (block.rowCount, block.columnCount) : (block.columnCount, block.rowCount)
  precondition(
    x.rowCount == 1 && y.rowCount == 1 && x.columnCount == columns && y.columnCount == rows,
    "the vectors do not fit the matrix")
  cblas_dgemv(
    CblasRowMajor, a.orientation == .asStored ? CblasNoTrans : CblasTrans, blasInteger(block.rowCount),
    blasInteger(block.columnCount), 1, block.base, blasInteger(max(1, block.stride)), x.base, 1, 0, y.base, 1)
}

extension MatrixView where Element == Double {
  /// ‖A‖_F².
  package func sumOfSquares() -> Double { innerProduct(self, self) }

  /// Multiplies the elements of one row.
  package func scaleRow(_ row: Int, by factor: Double) {
    let start = base + row * stride
    for column in 0..<columnCount { start[column] *= factor }
  }

  /// The column of the entry of a row with the largest magnitude, the first of equals; nil for no columns.
  package func largestColumn(inRow row: Int) -> Int? {
    let entries = self.row(row)
    return entries.indices.reduce(nil) { best, column in
      best.map { abs(entries[column]) > abs(entries[$0]) ? column : $0 } ?? column
    }
  }
}
