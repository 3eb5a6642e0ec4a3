internal import LinearAlgebra

/// The ranks that a truncation asks for, made possible.
struct TruncationPlan {
  /// One a mode; the length of the mode where it is left whole.
  private(set) var ranks: [Int]
  /// Which modes get a basis.
  let isCompressed: [Bool]
  /// What was changed.
  private(set) var notes: [String] = []
  private let tolerance: Double?

  init(_ truncation: TuckerDecomposition.Truncation, shape: [Int]) throws {
    switch truncation {
    case .ranks(let wanted):
      guard wanted.count == shape.count else {
        throw TensorError.modeCount(given: wanted.count, modes: shape.count)
      }
      if let rank = wanted.compactMap({ $0 }).first(where: { $0 < 1 }) {
        throw TensorError.rankTooSmall(rank)
      }
      isCompressed = wanted.map { $0 != nil }
      tolerance = nil
      ranks = zip(wanted, shape).map { min($0 ?? $1, $1) }
      clamp()
      for (mode, rank) in wanted.enumerated() {
        guard let rank, rank != ranks[mode] else { continue }
        notes.append(
          "rank \(rank) of mode \(mode) became \(ranks[mode]), the largest that a \(shapeText(shape)) tensor "
            + "supports beside the other ranks")
      }
    case .tolerance(let tolerance, let whole):
      guard tolerance > 0, tolerance < 1 else { throw TensorError.tolerance(tolerance) }
      isCompressed = shape.indices.map { !whole.contains($0) }
      ranks = shape
      self.tolerance = tolerance
    }
  }

  /// No mode compressed.
  init(wholeModesOf shape: [Int], note: String) {
    ranks = shape
    isCompressed = shape.map { _ in false }
    tolerance = nil
    notes = [note]
  }

  /// No unfolding of the core has more independent rows than columns.
  private mutating func clamp() {
    var changed = true
    while changed {
      changed = false
      for mode in ranks.indices where isCompressed[mode] {
        // Saturating: the product of the others may be anything.
        let others = ranks.indices.filter { $0 != mode }.reduce(1) {
          let (product, overflow) = $0.multipliedReportingOverflow(by: ranks[$1])
          return overflow ? Int.max : product
        }
        if ranks[mode] > others {
          ranks[mode] = others
          changed = true
        }
      }
    }
  }

  /// ε²·‖X‖², the energy that may be lost; nil where ranks were given.
  func allowedLoss(of energy: Double) -> Double? { tolerance.map { $0 * $0 * energy } }

  /// Decides the rank of a mode from the energies of its directions, descending.
  ///
  /// For a tolerance each mode may lose an equal part of ε²·‖X‖²: the losses of a sequential truncation add up.
  mutating func choose(mode: Int, energies: [Double], total: Double) -> Int {
    guard let tolerance else { return ranks[mode] }
    let budget = tolerance * tolerance * total / Double(max(1, isCompressed.count { $0 }))
    var lost = 0.0
    var rank = energies.count
    // Smallest first: added to a large total, the tail would vanish.
    while rank > 1, lost + max(0, energies[rank - 1]) <= budget {
      lost += max(0, energies[rank - 1])
      rank -= 1
    }
    ranks[mode] = rank
    return rank
  }
}

/// The bases of a sequentially truncated HOSVD: each mode is cut before the next one is looked at.
func sequentiallyTruncated(
  _ tensor: DenseTensor, plan: inout TruncationPlan, energy: Double
) throws -> [SharedMatrix<Double>?] {
  var bases: [SharedMatrix<Double>?] = Array(repeating: nil, count: tensor.modeCount)
  var partial = tensor
  for mode in tensor.shape.indices where plan.isCompressed[mode] {
    let eigen = try SymmetricEigen(lowerTriangle: partial.gramMatrix(ofMode: mode), wantsVectors: true)
    let rank = plan.choose(mode: mode, energies: eigen.values, total: energy)
    let basis = SharedMatrix(eigen.vectors.firstRows(rank))
    bases[mode] = basis
    partial = partial.modeProduct(mode, basis.matrix)
  }
  return bases
}

/// The bases of a truncated HOSVD at the plan's ranks: each mode is looked at by itself.
func truncated(_ tensor: DenseTensor, plan: TruncationPlan) throws -> [SharedMatrix<Double>?] {
  try tensor.shape.indices.map { mode in
    guard plan.isCompressed[mode] else { return nil }
    let eigen = try SymmetricEigen(lowerTriangle: tensor.gramMatrix(ofMode: mode), wantsVectors: true)
    return SharedMatrix(eigen.vectors.firstRows(plan.ranks[mode]))
  }
}
