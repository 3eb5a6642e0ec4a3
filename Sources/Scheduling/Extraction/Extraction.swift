internal import Adapters
internal import Checkpoints
internal import LinearAlgebra
public import MPI
internal import WeightSources

/// The main job: from a plan to an adapter's folder, over all ranks.
public struct Extraction {
  private let plan: ExtractionPlan
  private let resources: JobResources
  private let versionText: String

  /// An extraction of a plan; the version goes into the report.
  public init(_ plan: ExtractionPlan, resources: JobResources, version: String) {
    self.plan = plan
    self.resources = resources
    versionText = version
  }

  /// Collective: decomposes every module and writes the adapter on rank 0.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - folder: Rank 0's output; nil on the others.
  ///   - onProgress: Called on rank 0 after each unit.
  /// - Returns: On rank 0 the report; elsewhere nil.
  /// - Throws: On rank 0 the first error of any rank; the folder is then not published.
  public func run(
    on world: borrowing Communicator, into folder: OutputFolder?, onProgress: (ProgressState) -> Void
  ) throws -> ExtractionReport? {
    let start = secondsNow()
    guard world.rank == 0, let folder else {
      _ = try runUnits(on: world) { _, _ in }
      return nil
    }
    var sink = try ExtractionSink(plan, folder: folder)
    var progress = ProgressState(plan)
    let ranks = try runUnits(on: world) { unit, result in
      try sink.collect(plan.units[unit], result)
      progress.finish(unit: unit, of: plan)
      onProgress(progress)
    }
    return try sink.finish(ranks: ranks, version: versionText) { secondsNow() - start }
  }

  /// Collective: does all units, by ranks and teams or by all ranks together as the method has it.
  private func runUnits(on world: borrowing Communicator, collect: (Int, ExtractionResult) throws -> Void)
    throws
    -> [RankStatistics]
  {
    if plan.request.method.isCollective {
      return try CollectiveWork(plan).run(on: world, collect: collect)
    }
    let work = ExtractionWork(plan, mpiRank: world.rank, threadCount: resources.threadCount)
    let teams = try plan.teams(for: resources)
    let job = DistributedJob(
      work, units: plan.units.map(plan.jobUnit), teams: teams, headCoordinates: resources.headCoordinates,
      threadCount: resources.threadCount)
    return try job.run(on: world) { unit, bytes in
      try collect(unit, try ExtractionResult(decoding: bytes))
    }
  }
}

/// How far an extraction has come.
public struct ProgressState: Sendable {
  /// Units finished.
  public private(set) var finishedCount = 0
  /// All units.
  public let unitCount: Int
  /// Bytes of the finished units.
  public private(set) var bytesDone = 0
  /// The finished share of all operations, from 0 to 1.
  public private(set) var share = 0.0
  private let operations: Double

  init(_ plan: ExtractionPlan) {
    unitCount = plan.units.count
    operations = plan.units.reduce(0) { $0 + plan.price(of: $1).operations }
  }

  mutating func finish(unit: Int, of plan: ExtractionPlan) {
    let price = plan.price(of: plan.units[unit])
    finishedCount += 1
    bytesDone += price.byteCount
    share += price.operations / operations
  }
}

extension ExtractionPlan {
  /// A unit as the job sees it.
  fileprivate func jobUnit(_ unit: WorkUnit) -> JobUnit {
    switch unit {
    case .decompose(let index): JobUnit(modules[index].pair, cost: price(of: unit).operations)
    case .measure(let index): JobUnit(leftOut[index].pair, cost: price(of: unit).operations)
    }
  }

  /// Operations and bytes of a unit; a measurement counts as a few operations a byte.
  fileprivate func price(of unit: WorkUnit) -> (operations: Double, byteCount: Int) {
    switch unit {
    case .decompose(let index): return (costs[index].operations, costs[index].byteCount)
    case .measure(let index):
      let bytes = leftOut[index].pair.byteCount
      return (Double(bytes) * 4, bytes)
    }
  }
}
