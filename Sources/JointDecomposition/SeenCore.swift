internal import LinearAlgebra
internal import TensorDecomposition

/// A stack as both sides' subspaces see it: C_l = Q₁·A_l·Q₂ᵀ of every slice, whole on every rank.
struct SeenCore {
  /// In the order of its modes: tuned (if there are several), layer, left, right.
  let core: DenseTensor
  let subspaces: CoupledSubspaces
  /// Whether the last steps gained little.
  let isConverged: Bool
  /// ‖C‖².
  var energy: Double { core.squaredNorm }

  /// Vectors of a sketch at least: small ranks may as well have more than three or four times as many.
  private static let smallestSketch = 128
  /// Steps of a stack that is read from its files each time: six reads with sketch, core and residual.
  private static let fewSteps = 3
  /// Steps of a stack that any rank can keep in memory.
  private static let manySteps = 12

  /// Collective: the core of subspaces for ranks that are given; nil if the stack is zero.
  ///
  /// A small stack is refined until it stands still, with wide blocks; of a large one every read counts, and every
  /// product.
  init?(
    _ stack: SliceStack, _ leftRank: Int, _ rightRank: Int, stepLimit: Int?, smallStackBytes: Int = 1 << 30,
    from state: CoupledSubspaces?,
    keep: (CoupledSubspaces) throws -> Void
  ) throws {
    let isSmall = 4 * stack.sliceCount * stack.rows * stack.columns <= smallStackBytes
    let width = isSmall ? 4 : 3
    let leftCount = min(stack.rows, max(width * leftRank, Self.smallestSketch))
    let rightCount = min(stack.columns, max(width * rightRank, Self.smallestSketch))
    var subspaces: CoupledSubspaces
    if let state {
      subspaces = state
    } else {
      subspaces = try CoupledSubspaces(sketching: stack, leftCount: leftCount, rightCount: rightCount)
      try keep(subspaces)
    }
    guard stack.energy > 0 else { return nil }
    let isWhole = leftCount == stack.rows && rightCount == stack.columns
    let limit = isWhole ? 0 : stepLimit ?? (isSmall ? Self.manySteps : Self.fewSteps)
    if isSmall && limit > 0 {
      let refinement = Refinement(stack, leftRank: leftRank, rightRank: rightRank)
      let found = try refinement.run(from: subspaces, stepLimit: limit, keep: keep)
      core = found.core
      subspaces = found.subspaces
    } else {
      while subspaces.capturedEnergies.count < limit {
        subspaces = try subspaces.improved(on: stack, leftRank: leftRank, rightRank: rightRank)
        try keep(subspaces)
      }
      core = try subspaces.core(of: stack)
    }
    self.subspaces = subspaces
    isConverged = isWhole || subspaces.gain < 1e-2
  }

  /// Collective: the core of the smallest subspaces, in steps of a half, that leave out a third of what a
  /// tolerance allows at most; nil if the stack is zero.
  ///
  /// The sketch of further directions comes with each step, so growing takes no read of its own.
  init?(_ stack: SliceStack, tolerance: Double) throws {
    let start = 64
    var subspaces = try CoupledSubspaces(
      sketching: stack, leftCount: min(start, stack.rows), rightCount: min(start, stack.columns))
    guard stack.energy > 0 else { return nil }
    while true {
      let (seen, next) = try subspaces.grown(on: stack)
      let left = stack.scaledEnergy - seen.squaredNorm
      let isWhole = seen.shape.suffix(2) == [stack.rows, stack.columns]
      if isWhole || left <= tolerance * tolerance / 3 * stack.scaledEnergy {
        core = seen
        subspaces.capturedEnergies.append(seen.squaredNorm)
        self.subspaces = subspaces
        isConverged = true
        return
      }
      subspaces = next
    }
  }
}

extension SliceStack {
  /// The lengths of the modes before the two sides.
  var outerShape: [Int] { tunedCount > 1 ? [tunedCount, layerCount] : [layerCount] }
}

extension CoupledSubspaces {
  /// The part by which the last step but one raised the captured energy; 1 before there are two.
  var gain: Double {
    guard capturedEnergies.count >= 2, let last = capturedEnergies.last, last > 0 else { return 1 }
    return (last - capturedEnergies[capturedEnergies.count - 2]) / last
  }

  /// Collective: the stack as these subspaces see it; one read.
  func core(of stack: SliceStack) throws -> DenseTensor {
    let rightColumns = blockColumns(right.matrix.view)
    var found: [Int: [Double]] = [:]
    try stack.pass { index, slice in
      let products = SliceProducts(
        of: slice.matrix.view, right: rightColumns.view, threadCount: stack.threadCount)
      guard let images = products.images else { return }
      found[index] = seen(images.matrix.view.columns(0..<right.rowCount)).elements.map(Double.init)
    }
    return try gatheredCore(found, of: stack)
  }

  /// Collective: the core of these subspaces, and larger ones for the next look, with one read.
  ///
  /// Both sides take part with all their vectors, and half as many random ones are added.
  func grown(on stack: SliceStack) throws -> (core: DenseTensor, next: CoupledSubspaces) {
    let leftAdded = min(stack.rows - left.rowCount, (left.rowCount + 1) / 2)
    let rightAdded = min(stack.columns - right.rowCount, (right.rowCount + 1) / 2)
    let sums = PairSums(
      stack, leftCount: left.rowCount + leftAdded, rightCount: right.rowCount + rightAdded)
    // Sketches of one side take random vectors of the other.
    let random = stack.random("growth to \(left.rowCount + leftAdded), \(right.rowCount + rightAdded)")
    var found: [Int: [Double]] = [:]
    try stack.pass { index, slice in
      let rightBlock = blockColumns(right.matrix.view, adding: leftAdded, random, block: 2 * index)
      let leftBlock = blockColumns(left.matrix.view, adding: rightAdded, random, block: 2 * index + 1)
      let products = SliceProducts(
        of: slice.matrix.view, right: rightBlock.view, left: leftBlock.view, threadCount: stack.threadCount)
      guard let images = products.images?.matrix.view, let transposed = products.transposedImages?.matrix.view
      else { return }
      let (own, sketch) = (
        images.columns(0..<right.rowCount), images.columns(right.rowCount..<right.rowCount + leftAdded)
      )
      let (ownRight, sketchRight) = (
        transposed.rows(0..<left.rowCount), transposed.rows(left.rowCount..<left.rowCount + rightAdded)
      )
      let core = seen(own)
      found[index] = core.elements.map(Double.init)
      sums.add(index) { leftSum, rightSum in
        multiply(core.view, own.transposed, into: leftSum.rows(0..<left.rowCount))
        sketch.transpose(into: leftSum.rows(left.rowCount..<left.rowCount + leftAdded))
        multiply(core.view.transposed, ownRight, into: rightSum.rows(0..<right.rowCount))
        rightSum.rows(right.rowCount..<right.rowCount + rightAdded).copy(from: sketchRight)
      }
    }
    return (
      try gatheredCore(found, of: stack),
      try sums.orthonormalized(
        stack, leadingCounts: (left.rowCount, right.rowCount), history: capturedEnergies)
    )
  }

  /// Q₁·T.
  func seen(_ images: MatrixView<Float>) -> Matrix<Float> { product(left.matrix.view, images) }

  func gatheredCore(_ found: [Int: [Double]], of stack: SliceStack) throws -> DenseTensor {
    let shape = [left.rowCount, right.rowCount]
    let elements = try stack.gathered(countPerSlice: shape[0] * shape[1]) { found[$0] ?? [] }
    return DenseTensor(elements, shape: stack.outerShape + shape)
  }
}

/// Vectors that are rows, and random ones, as the columns of a block that products take.
func blockColumns(
  _ vectors: MatrixView<Float>, adding added: Int, _ random: CounterRandom, block: Int
) -> Matrix<Float> {
  let count = (vectors.rowCount + added + blockMultiple - 1) / blockMultiple * blockMultiple
  let columns = Matrix<Float>(repeating: 0, rows: vectors.columnCount, columns: count)
  vectors.transpose(into: columns.view.columns(0..<vectors.rowCount))
  random.fillUniform(columns.view.columns(vectors.rowCount..<vectors.rowCount + added), block: block)
  return columns
}
