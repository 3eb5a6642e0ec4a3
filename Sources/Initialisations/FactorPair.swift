public import LinearAlgebra

/// Two factors of a part of a weight, in the orientation out × in, before they are rounded.
public struct FactorPair: ~Copyable {
  /// B, out × rank.
  public let left: Matrix<Double>
  /// A, rank × in.
  public let right: Matrix<Double>
  /// Singular values or what stands for them, one a column of B.
  public let values: [Double]
  /// What CorDA added to the covariance's diagonal, as a multiple of its mean.
  public let damping: Double?

  /// B and A as they are, whose columns and rows the values are said to belong to.
  init(
    left: consuming Matrix<Double>, right: consuming Matrix<Double>, values: [Double], damping: Double? = nil
  ) {
    self.left = left
    self.right = right
    self.values = values
    self.damping = damping
  }

  /// U·√S and √S·V, with zeros for ranks that the matrix does not have.
  init(
    splitting values: [Double], u: borrowing Matrix<Double>, v: borrowing Matrix<Double>, rank: Int,
    damping: Double? = nil
  ) {
    let roots = values.map { $0.squareRoot() }
    self.init(
      left: scaledColumns(u, by: roots, count: rank), right: scaledRows(v, by: roots, count: rank),
      values: values + Array(repeating: 0, count: rank - values.count), damping: damping)
  }
}

/// The matrix with each column multiplied by its factor, and columns of zeros up to a count.
func scaledColumns(_ matrix: borrowing Matrix<Double>, by factors: [Double], count: Int) -> Matrix<Double> {
  let result = Matrix<Double>(repeating: 0, rows: matrix.rowCount, columns: count)
  for row in 0..<matrix.rowCount {
    let (target, source) = (result.view.row(row), matrix.view.row(row))
    for (column, factor) in factors.enumerated() { target[column] = source[column] * factor }
  }
  return result
}

/// The matrix with each row multiplied by its factor, and rows of zeros up to a count.
func scaledRows(_ matrix: borrowing Matrix<Double>, by factors: [Double], count: Int) -> Matrix<Double> {
  let result = Matrix<Double>(repeating: 0, rows: count, columns: matrix.columnCount)
  for (row, factor) in factors.enumerated() {
    let (target, source) = (result.view.row(row), matrix.view.row(row))
    for column in source.indices { target[column] = source[column] * factor }
  }
  return result
}
