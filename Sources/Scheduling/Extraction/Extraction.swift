internal import Adapters
internal import Checkpoints
internal import Foundation
internal import LinearAlgebra
public import MPI
internal import WeightSources

/// The main job: from a plan to an adapter's folder, over all ranks.
public struct Extraction {
  private let plan: ExtractionPlan
  private let resources: JobResources
  private let versionText: String
  private let outlivesFailures: Bool

  /// An extraction of a plan; the version goes into the report.
  ///
  /// - Parameters:
  ///   - plan: The same on every rank.
  ///   - resources: What the job may take.
  ///   - version: The program's.
  ///   - outlivesFailures: Whether the ranks go on after one of them failed, so that the job can do something else;
  ///     else its failure ends them all. Methods over all ranks fail together in any case.
  public init(
    _ plan: ExtractionPlan, resources: JobResources, version: String, outlivesFailures: Bool = false
  ) {
    self.plan = plan
    self.resources = resources
    versionText = version
    self.outlivesFailures = outlivesFailures
  }

  /// Collective: decomposes every module and writes the adapter on rank 0.
  ///
  /// What an interrupted run of the same job has finished is in the folder's journal and not done again.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - folder: Rank 0's output; nil on the others.
  ///   - notify: Called on rank 0 with sentences for a person; by a signal's thread too.
  ///   - onProgress: Called on rank 0 after each unit.
  /// - Returns: On rank 0 the report; elsewhere nil.
  /// - Throws: On rank 0 the first error of any rank; the folder is then not published. Finished units stay in
  ///   its journal unless the weights are at fault.
  public func run(
    on world: borrowing Communicator, into folder: OutputFolder?,
    notify: @escaping @Sendable (String) -> Void,
    onProgress: (ProgressState) -> Void
  ) throws -> ExtractionReport? {
    try run(on: world, into: folder, notify: notify, onProgress: onProgress) { journal, folder in
      var emission = try AdapterEmission(plan, folder: folder.contentsPath)
      for (number, unit) in plan.units.enumerated() {
        try emission.write(unit, try journal.result(number))
      }
      return try emission.finish()
    }
  }

  /// Collective: the same with other files made of the journal, on rank 0 and one unit in memory at a time.
  func run(
    on world: borrowing Communicator, into folder: OutputFolder?,
    notify: @escaping @Sendable (String) -> Void, onProgress: (ProgressState) -> Void,
    emit: (Journal, OutputFolder) throws -> AdapterEmission.Records
  ) throws -> ExtractionReport? {
    let start = secondsNow()
    guard world.rank == 0, let folder else {
      _ = try fill(nil, on: world, notify: notify, onProgress: onProgress)
      return nil
    }
    let output = try JournaledOutput(
      folder, identity: plan.identity(version: versionText), unitCount: plan.units.count,
      unitName: "tensors", notify: notify)
    return try output.publish { journal in
      let ranks = try fill(journal, on: world, notify: notify) { progress in
        try folder.checkLock()
        onProgress(progress)
      }
      try folder.clearContents()
      let records = try emit(journal, folder)
      let report = ExtractionReport(
        plan, version: versionText, records: records, carriedOver: journal.carriedOver, ranks: ranks,
        seconds: secondsNow() - start)
      try writeDurably(report.encoded(), to: folder.contentsPath + "/report.json")
      return report
    }
  }

  /// Collective: does every unit that a journal does not have yet, and leaves its result there, durable.
  ///
  /// - Parameters:
  ///   - journal: Rank 0's; nil on the others.
  ///   - world: All ranks of the job.
  ///   - notify: Called on rank 0 with sentences for a person.
  ///   - onProgress: Called on rank 0 after each unit; an error it throws ends the job.
  /// - Returns: On rank 0 the statistics of every rank.
  /// - Throws: On rank 0 the first error of any rank, or that a model was changed meanwhile.
  package func fill(
    _ journal: Journal?, on world: borrowing Communicator, notify: (String) -> Void,
    onProgress: (ProgressState) throws -> Void
  ) throws -> [RankStatistics] {
    try plan.inputs.checkOnAllHosts(world, notify: notify)
    let finished = try sharedUnits(journal?.carriedOver, on: world)
    guard let journal else { return try runUnits(on: world, finished: finished) { _, _ in } }
    var progress = ProgressState(plan)
    for unit in finished { progress.finish(unit: unit, of: plan) }
    var failure: JobFailure?
    let ranks = try runUnits(on: world, finished: finished, canCollect: { !journal.isFull }) { unit, bytes in
      if let failed = try ExtractionResult.failure(in: bytes) {
        failure = failure ?? failed
      } else {
        try journal.append(unit, bytes)
      }
      progress.finish(unit: unit, of: plan)
      try onProgress(progress)
    }
    try journal.flush()
    if let failure { throw failure }
    try plan.inputs.checkUnchanged()
    return ranks
  }

  /// Collective: what rank 0 knows to be finished, on every rank.
  private func sharedUnits(_ units: Set<Int>?, on world: borrowing Communicator) throws -> Set<Int> {
    let bytes = try units.map { Array(try JSONEncoder().encode($0.sorted())) } ?? []
    return Set(try JSONDecoder().decode([Int].self, from: Data(try world.broadcast(bytes, root: 0))))
  }

  /// Collective: does the units that are left, by ranks and teams or by all ranks together as the method has it.
  private func runUnits(
    on world: borrowing Communicator, finished: Set<Int>, canCollect: () -> Bool = { true },
    collect: (Int, [UInt8]) throws -> Void
  ) throws -> [RankStatistics] {
    if plan.request.method.isCollective {
      return try CollectiveWork(plan).run(
        on: world, finished: finished, canCollect: canCollect, collect: collect)
    }
    let work = ExtractionWork(
      plan, mpiRank: world.rank, threadCount: resources.threadCount, outlivesFailures: outlivesFailures)
    let teams = try world.shared { try plan.teams(for: resources) }
    let job = DistributedJob(
      work, units: plan.units.map(plan.jobUnit), teams: teams, finished: finished,
      headCoordinates: resources.headCoordinates,
      threadCount: resources.threadCount)
    return try job.run(on: world, canCollect: canCollect, collect: collect)
  }
}

extension Journal {
  /// The result of a unit of an extraction that is done.
  func result(_ unit: Int) throws -> ExtractionResult {
    guard let bytes = try read(unit) else {
      preconditionFailure("every unit is finished when files are made of them")
    }
    return try ExtractionResult(decoding: bytes)
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
  func price(of unit: WorkUnit) -> (operations: Double, byteCount: Int) {
    switch unit {
    case .decompose(let index): return (costs[index].operations, costs[index].byteCount)
    case .measure(let index):
      let bytes = leftOut[index].pair.byteCount
      return (Double(bytes) * 4, bytes)
    }
  }
}
