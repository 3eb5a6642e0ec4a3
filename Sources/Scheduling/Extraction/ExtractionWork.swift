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
  private let threadCount: Int
  private let outlivesFailures: Bool
  private let reader = SoleReader()

  /// What the reading thread hands over.
  public final class Loaded: @unchecked Sendable {
    // Handed from one thread to the other through a lock, and never used by both.
    fileprivate var delta: Delta?
    fileprivate var measure: DifferenceMeasure?
    fileprivate let failure: (any Error)?
    fileprivate let readSeconds: Double

    fileprivate init(
      delta: consuming Delta?, measure: DifferenceMeasure?, failure: (any Error)? = nil, readSeconds: Double
    ) {
      self.delta = delta
      self.measure = measure
      self.failure = failure
      self.readSeconds = readSeconds
    }
  }

  /// The work of one rank, whose products may take some threads.
  ///
  /// - Parameters:
  ///   - plan: The same on every rank.
  ///   - mpiRank: This rank, for the records.
  ///   - threadCount: Threads for its products.
  ///   - outlivesFailures: Whether a unit's failure is its result instead of the end of the job.
  public init(_ plan: ExtractionPlan, mpiRank: Int, threadCount: Int, outlivesFailures: Bool = false) {
    self.plan = plan
    self.mpiRank = mpiRank
    self.threadCount = threadCount
    self.outlivesFailures = outlivesFailures
  }

  /// Reads the difference of a unit's pair, or this rank's share of it.
  public func load(_ unit: Int, group: RankGroup) throws -> Loaded {
    let start = secondsNow()
    do { return try read(unit, group, since: start) } catch {
      guard outlivesFailures else { throw error }
      return Loaded(delta: nil, measure: nil, failure: error, readSeconds: secondsNow() - start)
    }
  }

  private func read(_ unit: Int, _ group: RankGroup, since start: Double) throws -> Loaded {
    switch plan.units[unit] {
    case .decompose(let index):
      let delta = try reader.deltas.readDelta(
        plan.modules[index].pair, share: share(ofModule: index, group),
        measuresBinades: plan.product == .triplets)
      return Loaded(delta: delta, measure: nil, readSeconds: secondsNow() - start)
    case .measure(let index):
      let measure = try reader.deltas.measure(plan.leftOut[index].pair)
      return Loaded(delta: nil, measure: measure, readSeconds: secondsNow() - start)
    }
  }

  /// Decomposes it, or passes a measurement on.
  public func compute(_ unit: Int, _ loaded: Loaded, group: RankGroup) throws -> [UInt8] {
    do {
      let result = try result(unit, loaded, group)
      return group.isLeader ? try result.encoded() : []
    } catch {
      guard outlivesFailures else { throw error }
      return try ExtractionResult.encoded(failure: JobFailure(error, mpiRank: mpiRank))
    }
  }

  private func result(_ unit: Int, _ loaded: Loaded, _ group: RankGroup) throws -> ExtractionResult {
    switch plan.units[unit] {
    case .decompose(let index):
      let share = share(ofModule: index, group)
      try agree(on: loaded.failure, share, module: plan.modules[index].name)
      guard let delta = loaded.delta.take() else {
        preconditionFailure("a module was read without its delta")
      }
      return try decompose(index, delta, share, readSeconds: loaded.readSeconds)
    case .measure:
      if let failure = loaded.failure { throw failure }
      guard let measure = loaded.measure else { preconditionFailure("a tensor was read but not measured") }
      return .measured(measure)
    }
  }

  /// Sees that all members of a group have read their shares: otherwise none of them may begin.
  private func agree(on failure: (any Error)?, _ share: LongSideShare, module: String) throws {
    guard outlivesFailures else { return }
    let failures = share.sum(ofUnits: share.localUnits.map { _ in failure == nil ? 0 : 1 })
    if let failure { throw failure }
    if failures > 0 { throw SourceError.unreadableShare(module: module) }
  }

  private func share(ofModule index: Int, _ group: RankGroup) -> LongSideShare {
    let shape = plan.modules[index].pair.shape
    return LongSideShare(rows: shape[0], columns: shape[1], group: group, threadCount: threadCount)
  }

  private func decompose(
    _ index: Int, _ delta: consuming Delta, _ share: LongSideShare, readSeconds: Double
  ) throws -> ExtractionResult {
    let start = secondsNow()
    let svd = try TruncatedSVD(
      of: &delta.matrix, energy: share.sum(ofUnits: delta.unitEnergies), share: share,
      options: plan.svdOptions(forModule: index))
    let written: Written
    switch plan.product {
    case .factors, .certifiedFactors: written = .factors(try factors(of: svd, index, delta, share))
    case .triplets: written = .triplets(try triplets(of: svd, index, delta, share))
    }
    let record = ModuleRecord(
      module: plan.modules[index], requestedRank: plan.layout.modules[index].largestRank, report: svd.report,
      singularValues: svd.s, writtenResidual: (written.residualEnergy ?? svd.report.energy).squareRoot(),
      seconds: secondsNow() - start, readSeconds: readSeconds, mpiRank: mpiRank,
      rankCount: share.group.memberCount)
    return written.result(record)
  }

  private func factors(
    of svd: borrowing TruncatedSVD, _ index: Int, _ delta: borrowing Delta, _ share: LongSideShare
  ) throws -> LoRAFactors? {
    guard svd.rank > 0 else { return nil }
    return try LoRAFactors(
      svd, of: delta.matrix, layout: plan.layout.modules[index].layout, factorType: plan.layout.factorType,
      module: plan.modules[index].name, share: share,
      certifiesSelections: plan.product == .certifiedFactors)
  }

  private func triplets(
    of svd: borrowing TruncatedSVD, _ index: Int, _ delta: borrowing Delta, _ share: LongSideShare
  ) throws -> ModuleTriplets? {
    guard svd.rank > 0 else { return nil }
    let part = delta.matrix.view
    return try ModuleTriplets(
      svd, layout: plan.layout.modules[index].layout, binadeEnergy: share.sum(ofUnits: delta.unitBinades)
    ) { residualSumOfSquares(ofPart: part, minus: $0, times: $1, share: share) }
  }
}

/// What is handed over of a module's decomposition.
enum Written {
  case factors(LoRAFactors?)
  case triplets(ModuleTriplets?)

  /// ‖Δ − what it stands for‖_F²; nil if there is nothing.
  var residualEnergy: Double? {
    switch self {
    case .factors(let factors): factors?.residualEnergy
    case .triplets(let triplets): triplets?.residualEnergy
    }
  }

  func result(_ record: ModuleRecord) -> ExtractionResult {
    switch self {
    case .factors(let factors): .decomposed(record, factors)
    case .triplets(let triplets): .triplets(record, triplets)
    }
  }
}
