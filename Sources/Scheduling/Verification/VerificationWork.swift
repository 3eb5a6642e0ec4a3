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
    // A group's result is its leader's.
    let energy =
      covered.replacement == nil
      ? nil : group.isLeader ? try reader.deltas.measure(covered.pair).energy : 0
    if case .nothing = covered.addition {
      return Loaded(energy: energy, residualEnergy: try reader.deltas.measure(covered.rest).energy)
    }
    return Loaded(
      rest: try reader.deltas.readDelta(covered.rest, share: share(of: covered, group)),
      addition: try covered.readAddition(with: reader.deltas), energy: energy)
  }

  func compute(_ unit: Int, _ loaded: Loaded, group: RankGroup) throws -> [UInt8] {
    let result = try result(unit, loaded, group)
    return group.isLeader ? Array(try JSONEncoder().encode(result)) : []
  }

  private func result(_ unit: Int, _ loaded: Loaded, _ group: RankGroup) throws -> VerificationResult {
    guard let rest = loaded.rest.take(), let addition = loaded.addition.take() else {
      return VerificationResult(
        energy: loaded.energy ?? 0, residualEnergy: loaded.residualEnergy ?? 0)
    }
    let covered = plan.covered[unit]
    let share = share(of: covered, group)
    // The sums of an extraction, in its order: the same factors leave the same residual to the last bit.
    let residual = residualSumOfSquares(
      of: rest.matrix, minus: addition.left, times: addition.right, share: share)
    guard residual.isFinite else { throw UpdateOverflow(name: covered.name) }
    return VerificationResult(
      energy: loaded.energy ?? share.sum(ofUnits: rest.unitEnergies), residualEnergy: residual)
  }

  /// This rank's part of a matrix, or of a vector, which is one row.
  private func share(of covered: AdapterCoverage.Covered, _ group: RankGroup) -> LongSideShare {
    let shape = covered.pair.shape
    return LongSideShare(
      rows: shape.count > 1 ? shape[0] : 1, columns: shape.last ?? 0, group: group, threadCount: threadCount)
  }
}

/// That what an adapter's factors add cannot be told from a fine-tune.
struct UpdateOverflow: ExitCoded, CustomStringConvertible, Equatable {
  /// The module.
  let name: String

  /// The code this error ends a job with.
  var exitCode: ExitCode { .badInput }

  /// One sentence with the module and the remedy.
  var description: String {
    "module '\(name)': the adapter's update, scale · B·A, leaves the range of single precision, though its factors are "
      + "finite; look at its alpha and its training"
  }
}
