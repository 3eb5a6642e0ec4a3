internal import CKernels

extension Matrix where Element == Float {
  /// ‖A‖_F², summed in double precision.
  ///
  /// In single precision this sum is wrong by 1e-3 at 7e7 elements, as much as the whole tolerance.
  public borrowing func sumOfSquares() -> Double {
    withElements { $0.baseAddress.map { start in ckernels_sum_of_squares(start, count) } ?? 0 }
  }

  /// The row and column of the first NaN or infinity, if there is one.
  public borrowing func firstNonFinite() -> (row: Int, column: Int)? {
    let index = withElements { $0.baseAddress.map { start in ckernels_first_nonfinite(start, count) } ?? -1 }
    return index < 0 ? nil : (index / columnCount, index % columnCount)
  }
}

extension MatrixView where Element == Float {
  /// ‖A‖_F² of a block, row by row in double precision.
  package func sumOfSquares() -> Double {
    var sum = 0.0
    for row in 0..<rowCount { sum += ckernels_sum_of_squares(base + row * stride, columnCount) }
    return sum
  }

  /// Multiplies the elements of one row.
  package func scaleRow(_ row: Int, by factor: Float) {
    let start = base + row * stride
    for column in 0..<columnCount { start[column] *= factor }
  }
}

/// ‖A − L·R‖_F² for A m × n, L m × r and R r × n, by panels and with double-precision sums.
///
/// The difference is formed entry by entry, so the sum holds however small the residual is beside A.
/// Cost: 2mnr operations and one panel of memory.
public func residualSumOfSquares(
  of matrix: borrowing Matrix<Float>, minus left: borrowing Matrix<Float>,
  times right: borrowing Matrix<Float>
) -> Double {
  precondition(
    left.rowCount == matrix.rowCount && right.columnCount == matrix.columnCount
      && left.columnCount == right.rowCount, "factors do not fit the matrix")
  let panelRows = max(1, min(matrix.rowCount, (1 << 20) / max(1, matrix.columnCount)))
  let panel = Matrix<Float>(uninitializedRows: panelRows, columns: matrix.columnCount)
  var sum = 0.0
  for start in stride(from: 0, to: matrix.rowCount, by: panelRows) {
    let rows = start..<min(start + panelRows, matrix.rowCount)
    let difference = panel.view.rows(0..<rows.count)
    difference.copy(from: matrix.view.rows(rows))
    multiply(left.view.rows(rows), right.view, into: difference, alpha: -1, beta: 1)
    sum += difference.sumOfSquares()
  }
  return sum
}
