internal import LinearAlgebra

/// What rounding leaves in the difference of a fine-tune that was made by adding an update to a stored base and storing
/// the sum.
struct MergeRounding {
  /// Singular values of independent rounding errors stay below it: the largest deviation of a row plus that of a
  /// column (Bandeira and van Handel, 2016).
  let floor: Double
  /// The expected sum of squares of the errors.
  let energy: Double

  /// The errors of a difference from a fine-tune's stored values.
  init(delta: borrowing Matrix<Float>, tuned: borrowing Matrix<Float>, rounding: StoredRounding) {
    var columnSums = [Double](repeating: 0, count: delta.columnCount)
    var largestRow = 0.0
    var energy = 0.0
    for row in 0..<delta.rowCount {
      let (change, stored) = (delta.view.row(row), tuned.view.row(row))
      var sum = 0.0
      for column in change.indices {
        let variance = rounding.variance(stored: stored[column], change: change[column])
        columnSums[column] += variance
        sum += variance
      }
      largestRow = max(largestRow, sum)
      energy += sum
    }
    floor = largestRow.squareRoot() + (columnSums.max() ?? 0).squareRoot()
    self.energy = energy
  }
}

extension StoredRounding {
  /// The variance of an entry's error: the stored sum is rounded, and the update before it.
  ///
  /// An update in single precision has the errors of its product too, which are several times as large.
  fileprivate func variance(stored: Float, change: Float) -> Double {
    let sum = Double(spacing(at: stored))
    let update = change == 0 ? 0 : Double(spacing(at: change))
    return sum * sum / 12 + update * update / (isSinglePrecision ? 1 : 12)
  }

  /// How far the update may have been from an entry of the difference.
  func halfWidth(stored: Float, change: Float) -> Float {
    (spacing(at: stored) + (change == 0 ? 0 : spacing(at: change) * (isSinglePrecision ? 4 : 1))) / 2
  }
}
