internal import LinearAlgebra

/// Higher-order orthogonal iteration (HOOI): a tensor, and bases that get better.
struct OrthogonalIteration {
  private let tensor: DenseTensor
  private(set) var bases: [SharedMatrix<Double>?]
  /// The tensor in the coordinates of the bases.
  private(set) var core: DenseTensor

  init(tensor: DenseTensor, bases: [SharedMatrix<Double>?]) {
    self.tensor = tensor
    self.bases = bases
    core = tensor.modeProducts(bases.indices, bases)
  }

  /// Sweeps until the energy of the core stands still; false if the limit on sweeps came first.
  mutating func run(_ options: TuckerDecomposition.Options, captured: inout [Double]) throws -> Bool {
    let modes = bases.indices.filter { bases[$0] != nil }
    guard !modes.isEmpty else { return true }
    for _ in 0..<options.sweepLimit {
      let before = core.squaredNorm
      try refine(modes[...], of: tensor)
      let energy = core.squaredNorm
      captured.append(energy)
      if abs(energy - before) <= options.convergence * energy { return true }
    }
    return false
  }

  /// Renews the bases of some modes, one after the other, given the tensor in the coordinates of all others.
  ///
  /// Halving the modes at each step (a dimension tree) shares the products between them.
  private mutating func refine(_ modes: ArraySlice<Int>, of partial: DenseTensor) throws {
    guard modes.count > 1 else {
      guard let mode = modes.first, let rank = bases[mode]?.rowCount else { return }
      let eigen = try SymmetricEigen(lowerTriangle: partial.gramMatrix(ofMode: mode), wantsVectors: true)
      let basis = SharedMatrix(eigen.vectors.firstRows(rank))
      bases[mode] = basis
      core = partial.modeProduct(mode, basis.matrix)
      return
    }
    let middle = modes.startIndex + modes.count / 2
    try refine(modes[..<middle], of: partial.modeProducts(modes[middle...], bases))
    try refine(modes[middle...], of: partial.modeProducts(modes[..<middle], bases))
  }

  /// Turns the bases so that the slices of the core are orthogonal and ordered by energy in every mode.
  mutating func orderCore() throws {
    for mode in bases.indices {
      guard let basis = bases[mode] else { continue }
      let turn = try SymmetricEigen(lowerTriangle: core.gramMatrix(ofMode: mode), wantsVectors: true)
      core = core.modeProduct(mode, turn.vectors)
      bases[mode] = SharedMatrix(product(turn.vectors, basis.matrix))
    }
  }

  /// The smallest ranks whose leading part of the ordered core has the needed energy; nil if none are smaller.
  mutating func smallerRanks(needed: Double) throws -> [Int]? {
    try orderCore()
    let lengths = bases.indices.map { bases[$0]?.columnCount }
    let ranks = leadingRanks(of: core, needed: needed, lengths: lengths)
    return ranks == core.shape ? nil : ranks
  }

  /// Cuts every basis down to its first vectors.
  mutating func keepLeading(_ ranks: [Int]) {
    for mode in bases.indices where bases[mode] != nil {
      bases[mode] = bases[mode].map { SharedMatrix($0.matrix.firstRows(ranks[mode])) }
    }
    core = tensor.modeProducts(bases.indices, bases)
  }

  /// Makes the largest entry of every basis vector positive, so that equal inputs give equal files.
  mutating func fixSigns() {
    for mode in bases.indices {
      guard let basis = bases[mode] else { continue }
      let signs = basis.matrix.signsOfLargest()
      bases[mode] = SharedMatrix(basis.matrix.scalingRows(by: signs))
      let flips = Matrix<Double>(repeating: 0, rows: signs.count, columns: signs.count)
      for (row, sign) in signs.enumerated() { flips.view.row(row)[row] = sign }
      core = core.modeProduct(mode, flips)
    }
  }
}

/// Of all leading parts of a core with enough energy, that of the decomposition with the fewest numbers.
///
/// - Parameters:
///   - core: Ordered by energy in each mode.
///   - needed: The energy the part must have.
///   - lengths: Lengths of basis vectors; nil for modes that must stay whole.
/// - Returns: One rank a mode; the whole core if no part has enough.
func leadingRanks(of core: DenseTensor, needed: Double, lengths: [Int?]) -> [Int] {
  let shape = core.shape
  var sums = core.elements.map { $0 * $0 }
  var stride = 1
  for mode in shape.indices.reversed() {
    for index in sums.indices where index / stride % shape[mode] > 0 { sums[index] += sums[index - stride] }
    stride *= shape[mode]
  }
  var best = shape
  var bestSize = Int.max
  for index in sums.indices where sums[index] >= needed {
    var rest = index
    var ranks = shape
    for mode in shape.indices.reversed() {
      ranks[mode] = rest % shape[mode] + 1
      rest /= shape[mode]
    }
    guard shape.indices.allSatisfy({ lengths[$0] != nil || ranks[$0] == shape[$0] }) else { continue }
    let size = zip(ranks, lengths).reduce(ranks.reduce(1, *)) { $0 + $1.0 * ($1.1 ?? 0) }
    if size < bestSize { (best, bestSize) = (ranks, size) }
  }
  return best
}
