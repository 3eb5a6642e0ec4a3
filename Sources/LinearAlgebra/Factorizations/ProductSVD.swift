/// The leading singular triplets of a product L·R of thin factors, which is never formed.
///
/// Orthonormal bases of both factors' ranges leave an SVD of k × k numbers, k the inner dimension: 4·k²·(m + n)
/// operations and not k·m·n.
public struct ProductSVD: ~Copyable {
  /// m × r.
  public let u: Matrix<Float>
  /// Descending.
  public let s: [Double]
  /// r × n.
  public let vh: Matrix<Float>

  /// Decomposes L·R.
  ///
  /// - Parameters:
  ///   - left: L, m × k.
  ///   - right: R, k × n.
  ///   - rank: Triplets wanted; fewer are given if k, m or n is less.
  /// - Throws: `LAPACKError` if the small SVD fails.
  public init(of left: borrowing Matrix<Float>, times right: borrowing Matrix<Float>, rank: Int) throws {
    precondition(left.columnCount == right.rowCount, "the factors do not fit")
    let leftBasis = orthonormalRange(of: left.transposed())
    let rightBasis = orthonormalRange(of: right.firstRows(right.rowCount))
    let inner = left.columnCount
    let leftPart = Matrix<Float>(uninitializedRows: leftBasis.rowCount, columns: inner)
    multiply(leftBasis.view, left.view, into: leftPart.view)
    let rightPart = Matrix<Float>(uninitializedRows: inner, columns: rightBasis.rowCount)
    multiply(right.view, rightBasis.view.transposed, into: rightPart.view)
    let middle = Matrix<Float>(uninitializedRows: leftPart.rowCount, columns: rightPart.columnCount)
    multiply(leftPart.view, rightPart.view, into: middle.view)
    let svd = try DenseSVD(of: middle)
    let count = min(rank, svd.s.count)
    u = Matrix(uninitializedRows: left.rowCount, columns: count)
    multiply(leftBasis.view.transposed, svd.u.view.columns(0..<count), into: u.view)
    s = svd.s.prefix(count).map(Double.init)
    vh = Matrix(uninitializedRows: count, columns: right.columnCount)
    multiply(svd.vh.view.rows(0..<count), rightBasis.view, into: vh.view)
  }
}

/// Orthonormal rows that span those of a block; zero rows where rows are dependent.
private func orthonormalRange(of block: consuming Matrix<Float>) -> Matrix<Float> {
  // More rows than they are long span everything.
  guard block.rowCount < block.columnCount else {
    var identity = Matrix<Float>(repeating: 0, rows: block.columnCount, columns: block.columnCount)
    for index in 0..<block.columnCount { identity[index, index] = 1 }
    return identity
  }
  // The second time for orthogonality to the last digit (CholeskyQR2).
  _ = orthonormalizeRows(block.view)
  _ = orthonormalizeRows(block.view)
  return block
}
