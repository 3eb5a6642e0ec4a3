internal import DistributedLinearAlgebra
internal import LinearAlgebra

/// A decomposition of a stack as it is stored: what the residual is taken of.
protocol StackModel {
  /// Numbers it is stored in.
  var parameterCount: Int { get }

  /// ‖A − Â‖_F² of one slice, summed over the differences in double precision.
  func residual(of slice: Slice, _ index: Int, threadCount: Int) throws -> Double
}

/// How far a decomposition is from its stack, and how far separate SVDs of as many numbers would be.
public struct StackCertificate: Sendable, Codable, Equatable {
  /// ‖A‖_F² of each slice.
  public let energies: [Double]
  /// ‖A − Â‖_F² of each slice for the factors as stored, explicit sums in double precision.
  public let residuals: [Double]
  /// Numbers the decomposition is stored in.
  public let parameterCount: Int
  /// Separate truncated SVDs of the slices in as many numbers; nil if they were not asked for.
  public let separate: SeparateSVDs?

  /// ‖X‖².
  public var energy: Double { energies.reversed().reduce(0, +) }
  /// ‖X − X̂‖².
  public var residual: Double { residuals.reversed().reduce(0, +) }
  /// ‖X − X̂‖ / ‖X‖.
  public var relativeError: Double { energy > 0 ? (residual / energy).squareRoot() : 0 }

  /// Collective: one read of every slice.
  init(_ model: some StackModel, of stack: SliceStack, comparesSeparateSVDs: Bool) throws {
    var found: [Int: Double] = [:]
    let budget = TripletBudget(stack, parameterCount: model.parameterCount)
    var values: [Int: [Double]] = [:]
    try stack.pass { index, slice in
      found[index] = try model.residual(of: slice, index, threadCount: stack.threadCount)
      if comparesSeparateSVDs { values[index] = try budget.singularValues(of: slice, index, stack) }
    }
    let scale = 1 / (stack.factor * stack.factor)
    energies = stack.energies
    residuals = try stack.gathered { (found[$0] ?? 0) * scale }
    parameterCount = model.parameterCount
    separate =
      comparesSeparateSVDs
      ? SeparateSVDs(try budget.gathered(values, stack), budget, energies: energies, scale: scale) : nil
  }
}

/// The part of ‖A − L·R‖_F² that threads take, as for the residual of an SVD.
func residual(
  of slice: Slice, minus left: borrowing Matrix<Float>, times right: borrowing Matrix<Float>, threadCount: Int
) -> Double {
  let share = LongSideShare(
    rows: slice.matrix.rowCount, columns: slice.matrix.columnCount, threadCount: threadCount)
  return residualSumOfSquares(of: slice.matrix, minus: left, times: right, share: share)
}
