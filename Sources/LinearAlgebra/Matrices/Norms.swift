internal import CKernels

extension Matrix where Element == Float {
  /// ‖A‖_F², summed in double precision.
  ///
  /// In single precision this sum is wrong by 1e-3 at 7e7 elements, as much as the whole tolerance.
  public borrowing func sumOfSquares() -> Double {
    withElements { $0.baseAddress.map { start in ckernels_sum_of_squares(start, count) } ?? 0 }
  }

  /// ‖A‖_F² of the whole matrix of which this is a rank's share, the same to the last bit for every group.
  borrowing func sumOfSquares(_ share: LongSideShare) -> Double {
    let part = view
    return share.sum { offsets in
      (share.units.isWide ? part.columns(offsets) : part.rows(offsets)).sumOfSquares()
    }
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
/// Cost: 2mnr operations and one panel of memory. With a share, `matrix` is this rank's part of A while L and R
/// are whole, and every member gets the sum over all of A.
public func residualSumOfSquares(
  of matrix: borrowing Matrix<Float>, minus left: borrowing Matrix<Float>,
  times right: borrowing Matrix<Float>, share: LongSideShare? = nil
) -> Double {
  residualSumOfSquares(
    ofPart: matrix.view, minus: left, times: right,
    share: share ?? LongSideShare(rows: matrix.rowCount, columns: matrix.columnCount))
}

/// The same for a part of A that is given as a view.
package func residualSumOfSquares(
  ofPart part: MatrixView<Float>, minus left: borrowing Matrix<Float>, times right: borrowing Matrix<Float>,
  share: LongSideShare
) -> Double {
  let isWide = share.units.isWide
  precondition(
    left.columnCount == right.rowCount && left.rowCount == share.shape.rowCount
      && right.columnCount == share.shape.columnCount, "factors do not fit the matrix")
  let (leftView, rightView) = (left.view, right.view)
  let start = share.localRange.lowerBound
  return share.sum { offsets in
    let long = start + offsets.lowerBound..<start + offsets.upperBound
    return isWide
      ? residualSumOfSquares(of: part.columns(offsets), minus: leftView, times: rightView.columns(long))
      : residualSumOfSquares(of: part.rows(offsets), minus: leftView.rows(long), times: rightView)
  }
}

private func residualSumOfSquares(
  of matrix: MatrixView<Float>, minus left: MatrixView<Float>, times right: MatrixView<Float>
) -> Double {
  // A megabyte: the panel stays in the second-level cache between its three uses.
  let panelRows = max(1, min(matrix.rowCount, (1 << 18) / max(1, matrix.columnCount)))
  let panel = Matrix<Float>(uninitializedRows: panelRows, columns: matrix.columnCount)
  var sum = 0.0
  for start in stride(from: 0, to: matrix.rowCount, by: panelRows) {
    let rows = start..<min(start + panelRows, matrix.rowCount)
    let difference = panel.view.rows(0..<rows.count)
    difference.copy(from: matrix.rows(rows))
    multiply(left.rows(rows), right, into: difference, alpha: -1, beta: 1)
    sum += difference.sumOfSquares()
  }
  return sum
}
