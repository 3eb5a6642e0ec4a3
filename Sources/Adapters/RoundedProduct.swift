internal import Checkpoints
internal import LinearAlgebra
internal import WeightSources

/// U·diag(σ)·Vh as a product of two factors with √σ on each side, rounded to the type they are stored in.
struct RoundedProduct: ~Copyable {
  /// U·√σ as stored bytes.
  let storedLeft: [UInt8]
  /// √σ·Vh as stored bytes.
  let storedRight: [UInt8]
  /// What the left factor's bytes stand for.
  let left: Matrix<Float>
  /// What the right factor's bytes stand for.
  let right: Matrix<Float>

  /// Splits a product evenly; the sign of a negative value goes to the left.
  ///
  /// - Parameters:
  ///   - u: A column each value.
  ///   - values: In any order.
  ///   - vh: A row each value.
  ///   - factorType: The type of both factors.
  init(u: borrowing Matrix<Float>, values: [Double], vh: borrowing Matrix<Float>, factorType: FactorType) {
    let roots = values.map { Float($0.magnitude.squareRoot()) }
    var left = Matrix<Float>(uninitializedRows: u.rowCount, columns: u.columnCount)
    var right = Matrix<Float>(uninitializedRows: vh.rowCount, columns: vh.columnCount)
    u.scaleColumns(by: zip(roots, values).map { $1 < 0 ? -$0 : $0 }, into: &left)
    vh.scaleRows(by: roots, into: &right)
    let type = factorType.elementType
    storedLeft = type.encode(left)
    storedRight = type.encode(right)
    self.left = type.decode(storedLeft, rows: left.rowCount, columns: left.columnCount)
    self.right = type.decode(storedRight, rows: right.rowCount, columns: right.columnCount)
  }
}
