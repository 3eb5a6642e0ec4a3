internal import Adapters
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// What a rank does for an extraction: reads differences, decomposes them, rounds the factors.
///
/// A unit's result depends on the plan and the models alone, never on the rank or the order.
public struct ExtractionWork: UnitWork {
  private let plan: ExtractionPlan
  private let mpiRank: Int
  private let reader = SoleReader()

  /// The reading thread alone uses it.
  private final class SoleReader: @unchecked Sendable {
    let deltas = DeltaReader()
  }

  /// What the reading thread hands over.
  public final class Loaded: @unchecked Sendable {
    // Handed from one thread to the other through a lock, and never used by both.
    fileprivate var delta: Delta?
    fileprivate var measure: DifferenceMeasure?
    fileprivate let readSeconds: Double

    fileprivate init(delta: consuming Delta?, measure: DifferenceMeasure?, readSeconds: Double) {
      self.delta = delta
      self.measure = measure
      self.readSeconds = readSeconds
    }
  }

  /// The work of one rank.
  public init(_ plan: ExtractionPlan, mpiRank: Int) {
    self.plan = plan
    self.mpiRank = mpiRank
  }

  /// Reads the difference of a unit's pair.
  public func load(_ unit: Int) throws -> Loaded {
    let start = secondsNow()
    switch plan.units[unit] {
    case .decompose(let index):
      let delta = try reader.deltas.readDelta(plan.modules[index].pair)
      return Loaded(delta: delta, measure: nil, readSeconds: secondsNow() - start)
    case .measure(let index):
      let measure = try reader.deltas.measure(plan.leftOut[index].pair)
      return Loaded(delta: nil, measure: measure, readSeconds: secondsNow() - start)
    }
  }

  /// Decomposes it, or passes a measurement on.
  public func compute(_ unit: Int, _ loaded: Loaded) throws -> [UInt8] {
    switch plan.units[unit] {
    case .decompose(let index):
      guard let delta = loaded.delta.take() else {
        preconditionFailure("a module was read without its delta")
      }
      return try decompose(index, delta, readSeconds: loaded.readSeconds).encoded()
    case .measure:
      guard let measure = loaded.measure else { preconditionFailure("a tensor was read but not measured") }
      return try ExtractionResult.measured(measure).encoded()
    }
  }

  private func decompose(_ index: Int, _ delta: consuming Delta, readSeconds: Double) throws
    -> ExtractionResult
  {
    let start = secondsNow()
    let svd = try TruncatedSVD(
      of: &delta.matrix, energy: delta.energy, options: plan.svdOptions(forModule: index))
    var factors: LoRAFactors?
    if svd.rank > 0 {
      factors = try LoRAFactors(
        svd, of: delta.matrix, layout: plan.layout.modules[index].layout, factorType: plan.layout.factorType,
        module: plan.modules[index].name)
    }
    let record = ModuleRecord(
      module: plan.modules[index], requestedRank: plan.layout.modules[index].largestRank, report: svd.report,
      singularValues: svd.s, writtenResidual: (factors?.residualEnergy ?? 0).squareRoot(),
      seconds: secondsNow() - start, readSeconds: readSeconds, mpiRank: mpiRank)
    return .decomposed(record, factors)
  }
}
