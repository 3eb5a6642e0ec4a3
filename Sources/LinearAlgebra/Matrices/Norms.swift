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
