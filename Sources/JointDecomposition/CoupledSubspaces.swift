internal import DistributedLinearAlgebra
public import LinearAlgebra

/// The leading subspaces of both sides of a stack, by coupled subspace iteration: HOSI, one read a step.
///
/// With P₁ and P₂ the leading r directions of both sides, a step takes T = A·P₂ and Sᵀ = P₁ᵀ·A of every slice and
/// Q₁ ← orth(Σ T·(Tᵀ·Q₁)), Q₂ ← orth(Σ S·(Sᵀ·Q₂)), for 4·m·n·r operations a slice: each side is seen through the
/// other one's subspace, as in HOOI, and not through all of the other side, as in HOSVD. The blocks Q₁ and Q₂ hold
/// more vectors than the r that are wanted. (Pinheiro, Devarakonda and Ballard, SC 2025; our measured excess over
/// HOOI is below 1e-3 after three steps.)
public struct CoupledSubspaces: Sendable {
  /// Orthonormal vectors of the rows' side as rows, those that hold most first.
  public internal(set) var left: SharedMatrix<Float>
  /// The same of the columns' side.
  public internal(set) var right: SharedMatrix<Float>
  /// The energy that both subspaces' leading directions captured when each step began.
  public internal(set) var capturedEnergies: [Double] = []

  /// Subspaces and history from an earlier run.
  public init(left: SharedMatrix<Float>, right: SharedMatrix<Float>, capturedEnergies: [Double]) {
    self.left = left
    self.right = right
    self.capturedEnergies = capturedEnergies
  }

  /// Collective: random sketches of both sides, each slice with a block of its own; one read.
  ///
  /// - Parameters:
  ///   - stack: The slices.
  ///   - leftCount: Vectors of the rows' side.
  ///   - rightCount: Vectors of the columns' side.
  /// - Throws: What is wrong with a slice, or `LAPACKError`.
  public init(sketching stack: SliceStack, leftCount: Int, rightCount: Int) throws {
    let sums = PairSums(stack, leftCount: leftCount, rightCount: rightCount)
    let random = stack.random("sketch")
    try stack.pass { index, slice in
      let right = paddedBlock(random, rows: stack.columns, vectors: leftCount, block: 2 * index)
      let left = paddedBlock(random, rows: stack.rows, vectors: rightCount, block: 2 * index + 1)
      let products = SliceProducts(
        of: slice.matrix.view, right: right.view, left: left.view, threadCount: stack.threadCount)
      sums.add(index) { leftSum, rightSum in
        products.images?.matrix.view.columns(0..<leftCount).transpose(into: leftSum)
        if let images = products.transposedImages { rightSum.add(images.matrix.view.rows(0..<rightCount)) }
      }
    }
    self = try sums.orthonormalized(stack, history: [])
  }

  /// Collective: one step, one read.
  ///
  /// - Parameters:
  ///   - stack: The slices.
  ///   - leftRank: Directions of the rows' side through which the columns' side is seen.
  ///   - rightRank: The same of the columns' side.
  /// - Returns: The next subspaces, and the energy that these captured in their history.
  /// - Throws: What is wrong with a slice, or `LAPACKError`.
  public func improved(on stack: SliceStack, leftRank: Int, rightRank: Int) throws -> CoupledSubspaces {
    let sums = PairSums(stack, leftCount: left.rowCount, rightCount: right.rowCount)
    let leftColumns = blockColumns(left.matrix.view.rows(0..<leftRank))
    let rightColumns = blockColumns(right.matrix.view.rows(0..<rightRank))
    var captured: [Int: Double] = [:]
    try stack.pass { index, slice in
      let products = SliceProducts(
        of: slice.matrix.view, right: rightColumns.view, left: leftColumns.view,
        threadCount: stack.threadCount)
      guard let images = products.images?.matrix.view.columns(0..<rightRank),
        let transposed = products.transposedImages?.matrix.view.rows(0..<leftRank)
      else { return }
      sums.add(index) { leftSum, rightSum in
        // Q₁·T tells both the next step and what the present subspaces capture.
        let seen = product(left.matrix.view, images)
        captured[index] = seen.view.rows(0..<leftRank).sumOfSquares()
        multiply(seen.view, images.transposed, into: leftSum)
        let seenFromRight = product(right.matrix.view, transposed.transposed)
        multiply(seenFromRight.view, transposed, into: rightSum)
      }
    }
    let energy = try stack.gathered { captured[$0] ?? 0 }.reversed().reduce(0, +)
    return try sums.orthonormalized(stack, history: capturedEnergies + [energy])
  }
}

/// The sums of both sides over all slices, side by side in one matrix.
struct PairSums {
  private let sum: SliceSum
  private let leftCount: Int
  private let rightCount: Int
  private let rows: Int
  private let columns: Int

  init(_ stack: SliceStack, leftCount: Int, rightCount: Int) {
    (self.leftCount, self.rightCount, rows, columns) = (leftCount, rightCount, stack.rows, stack.columns)
    sum = SliceSum(rows: max(leftCount, rightCount), columns: rows + columns, deal: stack.deal)
  }

  /// Adds a slice's terms: vectors of both sides as rows.
  func add(_ index: Int, _ fill: (_ left: MatrixView<Float>, _ right: MatrixView<Float>) -> Void) {
    sum.add(slice: index) { both in
      let (left, right) = parts(of: both)
      fill(left, right)
    }
  }

  /// Collective: orthonormal bases of what was summed, ordered by energy.
  ///
  /// - Parameters:
  ///   - stack: The slices.
  ///   - leadingCounts: Rows of either side that come first, whatever their lengths; what is left of the other rows
  ///     follows. All rows if not given.
  ///   - history: Captured energies to hand on.
  /// - Returns: The bases of both sides.
  /// - Throws: `LAPACKError` if the eigenvalues do not converge.
  func orthonormalized(_ stack: SliceStack, leadingCounts: (Int, Int)? = nil, history: [Double]) throws
    -> CoupledSubspaces
  {
    let (leftTotal, rightTotal) = try total(stack)
    let (left, right) = (leftTotal.matrix.view, rightTotal.matrix.view)
    let random = stack.random("completion")
    return CoupledSubspaces(
      left: SharedMatrix(
        try leadingBasis(of: left, leadingCount: leadingCounts?.0 ?? leftCount, random: random)),
      right: SharedMatrix(
        try leadingBasis(of: right, leadingCount: leadingCounts?.1 ?? rightCount, random: random)),
      capturedEnergies: history)
  }

  /// Collective: what was summed.
  func total(_ stack: SliceStack) throws -> (left: SharedMatrix<Float>, right: SharedMatrix<Float>) {
    let both = try sum.total(over: stack.ranks.world)
    let (left, right) = parts(of: both.view)
    return (copy(of: left), copy(of: right))
  }

  private func parts(of both: MatrixView<Float>) -> (MatrixView<Float>, MatrixView<Float>) {
    (
      both.rows(0..<leftCount).columns(0..<rows), both.rows(0..<rightCount).columns(rows..<rows + columns)
    )
  }
}

/// Random numbers in a block that products take, with zeros beyond the vectors that are wanted.
private func paddedBlock(_ random: CounterRandom, rows: Int, vectors: Int, block: Int) -> Matrix<Float> {
  let count = (vectors + blockMultiple - 1) / blockMultiple * blockMultiple
  let result = Matrix<Float>(repeating: 0, rows: rows, columns: count)
  random.fillUniform(result.view.columns(0..<vectors), block: block)
  return result
}

private func copy(of block: MatrixView<Float>) -> SharedMatrix<Float> {
  let result = Matrix<Float>(uninitializedRows: block.rowCount, columns: block.columnCount)
  result.view.copy(from: block)
  return SharedMatrix(result)
}

/// A·B as a new matrix in single precision.
func product(_ a: some Factor<Float>, _ b: some Factor<Float>) -> Matrix<Float> {
  let rows = a.orientation == .asStored ? a.stored.rowCount : a.stored.columnCount
  let columns = b.orientation == .asStored ? b.stored.columnCount : b.stored.rowCount
  let result = Matrix<Float>(uninitializedRows: rows, columns: columns)
  multiply(a, b, into: result.view)
  return result
}
