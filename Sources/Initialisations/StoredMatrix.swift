public import Checkpoints
public import LinearAlgebra
internal import WeightSources

/// A matrix as it is stored, beside what the stored numbers stand for.
public struct StoredMatrix: ~Copyable {
  /// The elements in a file.
  public let bytes: [UInt8]
  /// What a reader of the file sees, in double precision, which holds it exactly.
  public let values: Matrix<Double>

  /// Rounds a matrix.
  ///
  /// - Parameters:
  ///   - matrix: Of finite entries.
  ///   - type: Where to.
  ///   - module: Whose it is, for the error.
  /// - Throws: `InitialisationError.overflow` if an entry is beyond the type's range.
  public init(_ matrix: borrowing Matrix<Double>, as type: ElementType, module: String)
    throws(InitialisationError)
  {
    let bytes = type.encode(matrix)
    let decoded = type.decode(bytes, rows: matrix.rowCount, columns: matrix.columnCount)
    if let (row, column) = decoded.firstNonFinite() {
      throw .overflow(module: module, type: type, value: matrix[row, column])
    }
    self.bytes = bytes
    values = decoded.widened()
  }
}

/// W − L·R for factors as they are stored, rounded once: what is left of a weight when they are trained instead.
///
/// Products and difference are taken in double precision, so that W differs from the stored residual plus the stored
/// factors' product by the last rounding alone.
public struct ResidualWeight {
  /// The elements in a file, in the weight's own layout.
  public let bytes: [UInt8]
  /// ‖L·R‖_F².
  public let productEnergy: Double

  /// Subtracts.
  ///
  /// - Parameters:
  ///   - weight: W, out × in.
  ///   - left: L, out × rank.
  ///   - right: R, rank × in.
  ///   - type: The type of the stored weight.
  ///   - isTransposed: Whether it is stored in × out.
  ///   - module: Whose it is, for the error.
  /// - Throws: `InitialisationError.overflow` if an entry is beyond the type's range.
  public init(
    of weight: borrowing Matrix<Float>, minus left: borrowing Matrix<Double>,
    times right: borrowing Matrix<Double>, as type: ElementType, isTransposed: Bool, module: String
  ) throws {
    let residual = weight.widened()
    multiply(left.view, right.view, into: residual.view, alpha: -1, beta: 1)
    bytes = try StoredMatrix(isTransposed ? residual.transposed() : residual, as: type, module: module).bytes
    let columns = left.transposed()
    let leftGram = rowProducts(columns, columns)
    let rightGram = rowProducts(right, right)
    productEnergy = innerProduct(leftGram.view, rightGram.view)
  }
}
