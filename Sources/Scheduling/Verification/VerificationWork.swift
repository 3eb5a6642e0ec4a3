internal import Adapters
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// What is found of one tensor.
struct VerificationResult: Sendable, Codable {
  /// ‖Δ‖_F².
  let energy: Double
  /// What the adapter leaves of it.
  let residualEnergy: Double
}

/// Reads differences and takes the adapter's updates off.
struct VerificationWork: UnitWork {
  private let plan: VerificationPlan
  private let threadCount: Int
  private let reader = SoleReader()

  /// The reading thread alone uses it.
  private final class SoleReader: @unchecked Sendable {
    let deltas = DeltaReader()
  }

  /// What the reading thread hands over.
  final class Loaded: @unchecked Sendable {
    // Handed from one thread to the other through a lock, and never used by both.
    /// What the addition must make up for, and the addition; nil if there is none.
    fileprivate var rest: Delta?
    fileprivate var addition: ScaledProduct?
    /// ‖Δ‖_F², where the rest is not Δ itself.
    fileprivate let energy: Double?
    /// ‖rest‖_F², where nothing is added.
    fileprivate let residualEnergy: Double?

    fileprivate init(
      rest: consuming Delta? = nil, addition: consuming ScaledProduct? = nil, energy: Double?,
      residualEnergy: Double? = nil
    ) {
      self.rest = rest
      self.addition = addition
      self.energy = energy
      self.residualEnergy = residualEnergy
    }
  }

  init(_ plan: VerificationPlan, threadCount: Int) {
    self.plan = plan
    self.threadCount = threadCount
  }

  func load(_ unit: Int, group: RankGroup) throws -> Loaded {
    guard unit < plan.covered.count else {
      let energy = try reader.deltas.measure(plan.uncovered[unit - plan.covered.count]).energy
      return Loaded(energy: energy, residualEnergy: energy)
    }
    let covered = plan.covered[unit]
    let energy = covered.replacement == nil ? nil : try reader.deltas.measure(covered.pair).energy
    if case .nothing = covered.addition {
      return Loaded(energy: energy, residualEnergy: try reader.deltas.measure(covered.rest).energy)
    }
    return Loaded(
      rest: try reader.deltas.readDelta(covered.rest),
      addition: try covered.readAddition(with: reader.deltas), energy: energy)
  }

  func compute(_ unit: Int, _ loaded: Loaded, group: RankGroup) throws -> [UInt8] {
    Array(try JSONEncoder().encode(result(loaded, group)))
  }

  private func result(_ loaded: Loaded, _ group: RankGroup) -> VerificationResult {
    guard let rest = loaded.rest.take(), let addition = loaded.addition.take() else {
      return VerificationResult(
        energy: loaded.energy ?? 0, residualEnergy: loaded.residualEnergy ?? 0)
    }
    // The sums of an extraction, in its order: the same factors leave the same residual to the last bit.
    let share = LongSideShare(
      rows: rest.matrix.rowCount, columns: rest.matrix.columnCount, group: group, threadCount: threadCount)
    let residual = residualSumOfSquares(
      of: rest.matrix, minus: addition.left, times: addition.right, share: share)
    return VerificationResult(
      energy: loaded.energy ?? share.sum(ofUnits: rest.unitEnergies), residualEnergy: residual)
  }
}
