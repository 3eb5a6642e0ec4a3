/// A matrix that several owners refer to, such as a factor in an array of factors.
///
/// A `Matrix` moves and never copies, so no array can hold it. This one is not changed once it is made, hence
/// sharing is safe. Hand `matrix` to functions that borrow it; a view taken of it does not keep it alive.
public final class SharedMatrix<Element: BitwiseCopyable & Sendable>: Sendable {
  /// The matrix.
  public let matrix: Matrix<Element>

  /// Takes over a matrix.
  public init(_ matrix: consuming Matrix<Element>) { self.matrix = matrix }

  /// The number of rows.
  public var rowCount: Int { matrix.rowCount }
  /// The number of columns.
  public var columnCount: Int { matrix.columnCount }
}
