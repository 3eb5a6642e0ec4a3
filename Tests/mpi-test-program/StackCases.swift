import DistributedLinearAlgebra
import JointDecomposition
import LinearAlgebra
import MPI
import TensorDecomposition

/// Sums over slices have the bits of one fixed tree, whoever holds the slices.
func sliceSum(_ world: borrowing Communicator) throws {
  let random = CounterRandom(seed: 3, name: "terms")
  for count in [1, 2, 3, 5, 8, 11, 13] {
    let deal = SliceDeal(sliceCount: count, rankCount: world.size)
    let sum = SliceSum(rows: 3, columns: 50, deal: deal)
    // Twice: a sum that was taken is empty again.
    for round in 0..<2 {
      let own = deal.slices(ofRank: world.rank)
      for slice in round == 0 ? Array(own) : own.reversed() {
        sum.add(slice: slice) { random.fillUniform($0, block: slice + round) }
      }
      let total = try sum.total(over: world)
      let expected = treeSum(0..<count, top: powerOfTwo(from: count)) { slice in
        let term = Matrix<Float>(uninitializedRows: 3, columns: 50)
        random.fillUniform(term.view, block: slice + round)
        return term.elements
      }
      try expectEqual(total.elements, expected, "sum of \(count) slices, round \(round)")
    }
  }
}

private func powerOfTwo(from count: Int) -> Int {
  var size = 1
  while size < count { size *= 2 }
  return size
}

/// The tree written as a recursion: halves of a power of two, as far as there are slices.
private func treeSum(_ slices: Range<Int>, top: Int, _ term: (Int) -> [Float]) -> [Float] {
  guard top > 1 else { return term(slices.lowerBound) }
  let middle = slices.lowerBound + top / 2
  guard middle < slices.upperBound else { return treeSum(slices, top: top / 2, term) }
  let left = treeSum(slices.lowerBound..<middle, top: top / 2, term)
  let right = treeSum(middle..<slices.upperBound, top: top / 2, term)
  return zip(left, right).map { $0 + $1 }
}

/// Slices that are in memory on every rank.
private final class KnownSlices: SliceSource {
  let count: Int
  let rows: Int
  let columns: Int
  private let values: [Float]

  init(_ values: [Float], count: Int, rows: Int, columns: Int) {
    (self.values, self.count, self.rows, self.columns) = (values, count, rows, columns)
  }

  func load(_ index: Int) -> Slice {
    let size = rows * columns
    let matrix = Matrix(Array(values[index * size..<(index + 1) * size]), rows: rows, columns: columns)
    let energy = matrix.sumOfSquares()
    return Slice(matrix, energy: energy)
  }

  var tensor: DenseTensor { DenseTensor(values.map(Double.init), shape: [count, rows, columns]) }
}

/// A few directions that all slices share under noise, of any scale.
private func plantedSlices(count: Int, rows: Int, columns: Int, noise: Float, scale: Float = 1) -> KnownSlices
{
  let random = CounterRandom(seed: 1, name: "planted")
  let shared = 6
  let left = Matrix<Float>(uninitializedRows: rows, columns: shared)
  let right = Matrix<Float>(uninitializedRows: shared, columns: columns)
  random.fillUniform(left.view, block: 0)
  random.fillUniform(right.view, block: 1)
  var values: [Float] = []
  for slice in 0..<count {
    let core = Matrix<Float>(uninitializedRows: shared, columns: shared)
    random.fillUniform(core.view, block: 2 + 2 * slice)
    let bulk = Matrix<Float>(uninitializedRows: rows, columns: columns)
    random.fillUniform(bulk.view, block: 3 + 2 * slice)
    let half = Matrix<Float>(uninitializedRows: rows, columns: shared)
    multiply(left.view, core.view, into: half.view)
    multiply(half.view, right.view, into: bulk.view, alpha: scale, beta: noise * scale)
    values += bulk.elements
  }
  return KnownSlices(values, count: count, rows: rows, columns: columns)
}

/// Tucker of a stack comes within 1e-3 of converged HOOI on the assembled tensor, and says so itself.
func stackTucker(_ world: borrowing Communicator) throws {
  let ranks = try StackRanks(duplicating: world)
  for (scale, smallBytes) in [(1, 1 << 30), (1e-25 as Float, 1 << 30), (1, 0), (1e-25, 0)] {
    // Beyond the six planted directions there is noise, which three steps do not sort out.
    for (rows, columns, rank) in [(150, 180, smallBytes > 0 ? 9 : 6), (40, 30, 5)] {
      let slices = plantedSlices(count: 5, rows: rows, columns: columns, noise: 2, scale: scale)
      let stack = SliceStack(slices, name: "planted", seed: 0, over: ranks)
      var options = StackTucker.Options(.ranks(left: rank, right: rank))
      options.smallStackBytes = smallBytes
      guard let tucker = try StackTucker(stack, options) else {
        throw CaseFailure("a stack with entries counts as zero")
      }
      let certificate = try tucker.certificate(on: stack, comparesSeparateSVDs: true)
      if smallBytes == 0 && stack.passCount > 6 {
        throw CaseFailure("\(stack.passCount) reads of a large stack")
      }
      let unit = Double(scale)
      let dense = slices.tensor.scaled(by: 1 / unit)
      let best = try TuckerDecomposition(of: dense, .ranks([nil, rank, rank]))
      let (found, expected) = (certificate.relativeError, best.report.relativeError)
      guard found <= expected * 1.001, found >= expected * 0.999 else {
        throw CaseFailure("\(rows) × \(columns), scale \(scale): error \(found), HOOI's \(expected)")
      }
      guard let separate = certificate.separate, separate.residual <= certificate.energy else {
        throw CaseFailure("the separate SVDs leave more than there is")
      }
    }
  }
  let zero = KnownSlices([Float](repeating: 0, count: 60), count: 3, rows: 4, columns: 5)
  guard
    try StackTucker(SliceStack(zero, name: "zero", seed: 0, over: ranks), .init(.ranks(left: 2, right: 2)))
      == nil
  else { throw CaseFailure("a stack of zeros has a decomposition") }
}

/// A tolerance is met, with fewer vectors than there are.
func stackTolerance(_ world: borrowing Communicator) throws {
  let ranks = try StackRanks(duplicating: world)
  let slices = plantedSlices(count: 6, rows: 180, columns: 150, noise: 0.2)
  for tolerance in [0.5, 0.2] {
    let stack = SliceStack(slices, name: "planted", seed: 0, over: ranks)
    guard let tucker = try StackTucker(stack, .init(.tolerance(tolerance))) else {
      throw CaseFailure("a stack with entries counts as zero")
    }
    let certificate = try tucker.certificate(on: stack, comparesSeparateSVDs: false)
    guard certificate.relativeError <= tolerance, tucker.left.rowCount < 180 else {
      throw CaseFailure(
        "tolerance \(tolerance): error \(certificate.relativeError) with \(tucker.left.rowCount) vectors")
    }
  }
}

/// A shared basis is as good as the full eigendecomposition's on either side.
func stackShared(_ world: borrowing Communicator) throws {
  let ranks = try StackRanks(duplicating: world)
  let slices = plantedSlices(count: 5, rows: 120, columns: 90, noise: 1)
  for side in [SharedBasis.Side.out, .in] {
    let stack = SliceStack(slices, name: "planted", seed: 0, over: ranks)
    guard let shared = try SharedBasis(stack, side: side, rank: 10, tolerance: 1e-5) else {
      throw CaseFailure("a stack with entries counts as zero")
    }
    let certificate = try shared.certificate(on: stack, comparesSeparateSVDs: false)
    let gram = slices.tensor.gramMatrix(ofMode: side == .out ? 1 : 2)
    let values = try SymmetricEigen(lowerTriangle: gram, wantsVectors: false).values
    let best = (1 - values.prefix(10).reduce(0, +) / values.reduce(0, +)).squareRoot()
    guard abs(certificate.relativeError / best - 1) < 1e-4 else {
      throw CaseFailure("\(side): error \(certificate.relativeError), the best is \(best)")
    }
    if world.rank == 0 { try expectEqual(shared.coefficients.count, 5, "slices whose coefficients arrived") }
  }
}

/// CP finds two patterns with different profiles over layers and models, in all ranks alike.
func stackCP(_ world: borrowing Communicator) throws {
  let ranks = try StackRanks(duplicating: world)
  let (tuned, layers, rows, columns, rank) = (2, 6, 140, 100, 4)
  let random = CounterRandom(seed: 5, name: "components")
  let factors = [tuned, layers, rows, columns].enumerated().map { mode, length in
    let factor = Matrix<Double>(uninitializedRows: rank, columns: length)
    random.fillNormal(factor.view, block: mode)
    return SharedMatrix(factor)
  }
  let truth = KruskalTensor(weights: [4, 3, 2, 1], factors: factors)
  let noise = Matrix<Double>(uninitializedRows: 1, columns: tuned * layers * rows * columns)
  random.fillNormal(noise.view, block: 9)
  let values = zip(truth.reconstructed().elements, noise.elements).map { Float($0 + 0.05 * $1) }
  let slices = KnownSlices(values, count: tuned * layers, rows: rows, columns: columns)
  let stack = SliceStack(slices, name: "planted", seed: 0, tunedCount: tuned, over: ranks)
  guard let cp = try StackCP(stack, .init(rank: rank)) else {
    throw CaseFailure("a stack with entries counts as zero")
  }
  let found = KruskalTensor(
    weights: cp.weights, factors: cp.factors.map { SharedMatrix(doubles($0.matrix)) })
  let match = FactorMatch(found, truth).score
  guard match > 0.99 else { throw CaseFailure("factor match score \(match)") }
  let certificate = try cp.certificate(on: stack, comparesSeparateSVDs: false)
  let expected = 0.05 * noise.view.sumOfSquares().squareRoot() / certificate.energy.squareRoot()
  guard certificate.relativeError < 1.01 * expected else {
    throw CaseFailure("error \(certificate.relativeError), the noise is \(expected)")
  }
}

private func doubles(_ matrix: borrowing Matrix<Float>) -> Matrix<Double> {
  Matrix(matrix.elements.map(Double.init), rows: matrix.rowCount, columns: matrix.columnCount)
}

extension DenseTensor {
  fileprivate func scaled(by factor: Double) -> DenseTensor {
    DenseTensor(elements.map { $0 * factor }, shape: shape)
  }
}

/// Two patterns of rank 8 with different layer profiles: CP tells them apart, and dropping one leaves the other.
func stackPatterns(_ world: borrowing Communicator) throws {
  let ranks = try StackRanks(duplicating: world)
  let (layers, rows, columns, patternRank) = (6, 90, 110, 8)
  for tuned in [1, 2] {
    // The second model alone has the second pattern, where there are two.
    let uses: [[Double]] = tuned == 1 ? [[1], [1]] : [[1, 0.8], [0, 1]]
    let patterns = (0..<2).map { number in
      pattern(number, uses: uses[number], layers: layers, rows: rows, columns: columns, rank: patternRank)
    }
    let sums = zip(patterns[0].elements, patterns[1].elements).map { Float($0 + $1) }
    let slices = KnownSlices(sums, count: tuned * layers, rows: rows, columns: columns)
    let stack = SliceStack(slices, name: "patterns", seed: 0, tunedCount: tuned, over: ranks)
    guard let cp = try StackCP(stack, .init(rank: 2 * patternRank)) else {
      throw CaseFailure("a stack with entries counts as zero")
    }
    let found = KruskalTensor(
      weights: cp.weights, factors: cp.factors.map { SharedMatrix(doubles($0.matrix)) })
    // Components of the first pattern, by their profiles over the layers.
    let profiles = found.factors[tuned - 1]
    let (first, second) = (layerProfile(0, layers), layerProfile(1, layers))
    let own = (0..<found.rank).filter { component in
      let profile = (0..<layers).map { profiles.matrix[component, $0] }
      return abs(cosine(profile, first)) > abs(cosine(profile, second))
    }
    try expectEqual(own.count, patternRank, "components of the first pattern among \(tuned) models")
    let kept = found.selecting(own).reconstructed()
    let target = DenseTensor(patterns[0].elements, shape: kept.shape)
    let error = (kept.squaredDistance(to: target) / target.squaredNorm).squareRoot()
    guard error < 0.05 else { throw CaseFailure("what is left of the first pattern has error \(error)") }
  }
}

private func layerProfile(_ number: Int, _ layers: Int) -> [Double] {
  (0..<layers).map { number == 0 ? 1 + Double($0) / 4 : 2 - Double($0) / 3 }
}

private func cosine(_ a: [Double], _ b: [Double]) -> Double {
  func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
  return dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
}

/// One matrix of low rank in all layers and models, each with its own factor.
private func pattern(
  _ number: Int, uses: [Double], layers: Int, rows: Int, columns: Int, rank: Int
) -> DenseTensor {
  let random = CounterRandom(seed: UInt64(number), name: "pattern")
  let outer = [uses, layerProfile(number, layers)].dropFirst(uses.count == 1 ? 1 : 0).map { values in
    SharedMatrix(
      Matrix((0..<rank).flatMap { _ in values }, rows: rank, columns: values.count))
  }
  let sides = [rows, columns].enumerated().map { mode, length in
    SharedMatrix(Matrix<Double>(normal: random, rows: rank, columns: length, block: mode))
  }
  return KruskalTensor(weights: [Double](repeating: 1, count: rank), factors: outer + sides).reconstructed()
}
