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
  let residual = ResidualBlocks(part, left, right, share)
  return share.sum { offsets in
    var sum = 0.0
    residual.forEachPanel(of: offsets) { panel, _, _ in sum += panel.sumOfSquares() }
    return sum
  }
}

/// ‖E‖_F² of E = A − L·R, and how much of each product lᵢ·rᵢ is left in E: lᵢᵀ·E·rᵢᵀ.
///
/// What a selection of the products leaves follows from these (`SelectionCertificate`). The first number has the
/// bits of `residualSumOfSquares`. Cost: twice that function's; E is in the cache when it is multiplied again.
///
/// - Parameters:
///   - part: This rank's part of A; all members of the group make the same call.
///   - left: L, whole.
///   - right: R, whole.
///   - share: Which part.
/// - Returns: ‖E‖_F², then r projections.
package func residualProjections(
  ofPart part: MatrixView<Float>, minus left: borrowing Matrix<Float>, times right: borrowing Matrix<Float>,
  share: LongSideShare
) -> [Double] {
  let rank = left.columnCount
  let residual = ResidualBlocks(part, left, right, share)
  let sums: Matrix<Double> = share.sum(rows: 1, columns: 1 + rank) { offsets, result in
    result.fill(0)
    let sums = result.row(0)
    let images = Matrix<Float>(uninitializedRows: residual.panelRowCount(of: offsets), columns: rank)
    residual.forEachPanel(of: offsets) { panel, left, right in
      sums[0] += panel.sumOfSquares()
      let panelImages = images.view.rows(0..<panel.rowCount)
      multiply(panel, right.transposed, into: panelImages)
      for row in 0..<panel.rowCount {
        let (image, factor) = (panelImages.row(row), left.row(row))
        for index in 0..<rank { sums[1 + index] += Double(image[index]) * Double(factor[index]) }
      }
    }
  }
  return sums.elements
}

/// E = A − L·R, formed panel by panel over a rank's share of A.
private struct ResidualBlocks {
  private let part: MatrixView<Float>
  private let left: MatrixView<Float>
  private let right: MatrixView<Float>
  private let share: LongSideShare
  private var isWide: Bool { share.units.isWide }

  init(
    _ part: MatrixView<Float>, _ left: borrowing Matrix<Float>, _ right: borrowing Matrix<Float>,
    _ share: LongSideShare
  ) {
    precondition(
      left.columnCount == right.rowCount && left.rowCount == share.shape.rowCount
        && right.columnCount == share.shape.columnCount, "factors do not fit the matrix")
    self.part = part
    self.left = left.view
    self.right = right.view
    self.share = share
  }

  /// Rows of a panel: a megabyte, which stays in the second-level cache between its uses.
  func panelRowCount(of offsets: Range<Int>) -> Int {
    let block = isWide ? part.columns(offsets) : part.rows(offsets)
    return max(1, min(block.rowCount, (1 << 18) / max(1, block.columnCount)))
  }

  /// Calls a closure with each panel of a unit's E, and the rows of L and columns of R that go with it.
  func forEachPanel(
    of offsets: Range<Int>, _ body: (MatrixView<Float>, MatrixView<Float>, MatrixView<Float>) -> Void
  ) {
    let start = share.localRange.lowerBound
    let long = start + offsets.lowerBound..<start + offsets.upperBound
    let block = isWide ? part.columns(offsets) : part.rows(offsets)
    let blockLeft = isWide ? left : left.rows(long)
    let blockRight = isWide ? right.columns(long) : right
    let panelRows = panelRowCount(of: offsets)
    let panel = Matrix<Float>(uninitializedRows: panelRows, columns: block.columnCount)
    for start in stride(from: 0, to: block.rowCount, by: panelRows) {
      let rows = start..<min(start + panelRows, block.rowCount)
      let difference = panel.view.rows(0..<rows.count)
      difference.copy(from: block.rows(rows))
      multiply(blockLeft.rows(rows), blockRight, into: difference, alpha: -1, beta: 1)
      body(difference, blockLeft.rows(rows), blockRight)
    }
  }
}
