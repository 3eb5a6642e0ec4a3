internal import DistributedLinearAlgebra
public import LinearAlgebra
internal import MPI

/// A basis on one side that all slices share: A_l ≈ U·B_l for the rows' side, A_l ≈ B_l·Uᵀ for the columns' side.
///
/// The leading eigenvectors of Σ A_l·A_lᵀ (or Σ A_lᵀ·A_l), by a block Krylov iteration with one read a step: the
/// best common basis there is. Coefficients stay private to a slice.
public final class SharedBasis {
  /// Which side of the slices has a basis.
  public enum Side: String, Sendable, Codable {
    /// The rows: outputs of a linear layer.
    case out
    /// The columns: inputs of a linear layer.
    case `in`
  }

  /// The side.
  public let side: Side
  /// U: orthonormal vectors as rows, r × length of the side; the largest entry of each is positive.
  public let basis: SharedMatrix<Float>
  /// Energies of the best r vectors after each step, and whether the next step would gain less than the tolerance.
  public let report: Report
  /// Of the slices that this rank has decomposed or was sent: B_l, r × n or m × r.
  public private(set) var coefficients: [Int: SharedMatrix<Float>] = [:]
  private let factor: Double
  private let coefficientShape: (rows: Int, columns: Int)
  private let sliceCount: Int

  /// How the iteration went.
  public struct Report: Sendable, Codable, Equatable {
    /// The energy that the best r vectors so far hold, after each step.
    public let capturedEnergies: [Double]
    /// Estimated 1 − captured/optimal.
    public let estimatedLoss: Double
    /// Whether that is within the tolerance.
    public let isConverged: Bool
  }

  /// Steps at most: reads of all slices.
  private static let stepLimit = 8

  /// Collective: finds the basis; nil if the stack is zero.
  ///
  /// - Parameters:
  ///   - stack: The slices.
  ///   - side: Which side.
  ///   - rank: Basis vectors, no more than the side is long.
  ///   - tolerance: Relative loss of captured energy at which the iteration may stop.
  /// - Throws: What is wrong with a slice, or `LAPACKError`.
  public init?(_ stack: SliceStack, side: Side, rank: Int, tolerance: Double) throws {
    let length = side == .out ? stack.rows : stack.columns
    let step = SideStep(stack, side: side)
    var basis = KrylovBasis(
      vectorLength: length, blockLength: max(16, (rank + 15) / 16 * 16), random: stack.random("basis"))
    var image = try step.image(of: basis.newestBlock)
    guard stack.energy > 0 else { return nil }
    // Squares of such entries may have left the range of a float; now they are scaled.
    if stack.factor != 1, stack.passCount == 1 { image = try step.image(of: basis.newestBlock) }
    var rule = GainRule(energy: stack.scaledEnergy, tolerance: tolerance)
    var captured: [Double] = []
    while true {
      basis.take(image: image)
      captured.append(try basis.ritzEnergy(rank: rank))
      rule.append(captured: captured.last ?? 0)
      // Whatever rounding tells this rank, all do what rank 0 does.
      let isOver = rule.isSatisfied || captured.count >= Self.stepLimit
      if try stack.ranks.fromFirst(isOver ? 1 : 0) == 1 || basis.isFull || !basis.append(image) { break }
      image = try step.image(of: basis.newestBlock)
    }
    let vectors = try basis.ritzVectors(rank: rank)
    vectors.flipRows(vectors.signsOfLargest())
    let remainder = basis.isComplete ? 0 : rule.remainder
    let scale = 1 / (stack.factor * stack.factor)
    report = Report(
      capturedEnergies: captured.map { $0 * scale },
      estimatedLoss: remainder / ((captured.last ?? 0) + remainder),
      isConverged: basis.isComplete || rule.isSatisfied)
    self.side = side
    self.basis = SharedMatrix(vectors)
    factor = stack.factor
    coefficientShape = side == .out ? (rank, stack.columns) : (stack.rows, rank)
    sliceCount = stack.sliceCount
  }

  /// Collective: the coefficients of all slices and their exact residual, in one read.
  ///
  /// - Returns: The certificate; on rank 0 `coefficients` then holds every slice's.
  public func certificate(on stack: SliceStack, comparesSeparateSVDs: Bool) throws -> StackCertificate {
    let certificate = try StackCertificate(self, of: stack, comparesSeparateSVDs: comparesSeparateSVDs)
    try collect(stack)
    return certificate
  }

  /// Collective: sends the coefficients to rank 0, slice after slice.
  private func collect(_ stack: SliceStack) throws {
    for index in 0..<sliceCount {
      let holder = stack.deal.holder(ofSlice: index)
      guard holder != 0 else { continue }
      if stack.ranks.world.rank == holder, let own = coefficients.removeValue(forKey: index) {
        try stack.ranks.world.send(own.matrix.view.elements, to: 0, tag: coefficientsTag)
      } else if stack.ranks.world.rank == 0 {
        let received = Matrix<Float>(
          uninitializedRows: coefficientShape.rows, columns: coefficientShape.columns)
        try stack.ranks.world.receive(into: received.view.elements, from: holder, tag: coefficientsTag)
        coefficients[index] = SharedMatrix(received)
      }
    }
  }
}

private let coefficientsTag = 12

extension SharedBasis: StackModel {
  var parameterCount: Int {
    basis.matrix.count + sliceCount * coefficientShape.rows * coefficientShape.columns
  }

  func residual(of slice: Slice, _ index: Int, threadCount: Int) -> Double {
    let own: Matrix<Float>
    let residual: Double
    if side == .out {
      own = product(basis.matrix.view, slice.matrix.view)
      let left = basis.matrix.transposed()
      residual = JointDecomposition.residual(of: slice, minus: left, times: own, threadCount: threadCount)
    } else {
      own = product(slice.matrix.view, basis.matrix.view.transposed)
      residual = JointDecomposition.residual(
        of: slice, minus: own, times: basis.matrix, threadCount: threadCount)
    }
    own.view.scale(by: 1 / factor)
    coefficients[index] = SharedMatrix(own)
    return residual
  }
}

/// One step of the power method on a side's Gram matrix, summed over all slices.
private struct SideStep {
  private let stack: SliceStack
  private let side: SharedBasis.Side

  init(_ stack: SliceStack, side: SharedBasis.Side) {
    self.stack = stack
    self.side = side
  }

  /// Collective: X·Σ A_l·A_lᵀ, or X·Σ A_lᵀ·A_l, for vectors X as rows; one read.
  func image(of vectors: MatrixView<Float>) throws -> Matrix<Float> {
    let sum = SliceSum(rows: vectors.rowCount, columns: vectors.columnCount, deal: stack.deal)
    let columns = blockColumns(vectors)
    try stack.pass { index, slice in
      let a = slice.matrix.view
      sum.add(slice: index) { term in
        if side == .out {
          let first = SliceProducts(of: a, left: columns.view, threadCount: stack.threadCount)
          guard let images = first.transposedImages else { return }
          let block = images.matrix.transposed()
          let second = SliceProducts(of: a, right: block.view, threadCount: stack.threadCount)
          second.images?.matrix.view.columns(0..<vectors.rowCount).transpose(into: term)
        } else {
          let first = SliceProducts(of: a, right: columns.view, threadCount: stack.threadCount)
          guard let images = first.images else { return }
          let second = SliceProducts(of: a, left: images.matrix.view, threadCount: stack.threadCount)
          if let image = second.transposedImages {
            term.copy(from: image.matrix.view.rows(0..<vectors.rowCount))
          }
        }
      }
    }
    return try sum.total(over: stack.ranks.world)
  }
}
