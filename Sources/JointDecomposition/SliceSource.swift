public import LinearAlgebra

/// One matrix of a stack, in memory.
public final class Slice: @unchecked Sendable {
  // Sendable because one thread at a time has it: it is handed over through a lock.

  /// The matrix.
  package var matrix: Matrix<Float>
  /// ‖A‖_F², summed in double precision.
  public let energy: Double

  /// Takes over a matrix whose energy is known.
  public init(_ matrix: consuming Matrix<Float>, energy: Double) {
    self.matrix = matrix
    self.energy = energy
  }
}

/// Where the slices of a stack come from: equally shaped matrices, made or read one at a time.
///
/// Every slice may be asked for several times, in any order and from any thread, by one thread at a time; the same
/// slice always has the same bits.
public protocol SliceSource: AnyObject, Sendable {
  /// How many slices there are.
  var count: Int { get }
  /// Rows of each.
  var rows: Int { get }
  /// Columns of each.
  var columns: Int { get }

  /// Makes one slice.
  ///
  /// - Parameter index: From 0 to `count` − 1.
  /// - Returns: A slice of finite entries.
  /// - Throws: Whatever is wrong with its file or its entries.
  func load(_ index: Int) throws -> Slice
}
