internal import Checkpoints
public import MPI

/// A job of modules whose results go into an output's journal, and from there into its files.
public struct JournaledJob<Plan: UnitPlan> {
  private let plan: Plan
  private let resources: JobResources
  private let versionText: String

  /// A job of a plan, which is the same on every rank; the version goes into the files.
  public init(_ plan: Plan, resources: JobResources, version: String) {
    self.plan = plan
    self.resources = resources
    versionText = version
  }

  /// Collective: does every module that the journal does not have yet, and writes the folder on rank 0.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - folder: Rank 0's output; nil on the others.
  ///   - notify: Called on rank 0 with sentences for a person; by a signal's thread too.
  ///   - onProgress: Called on rank 0 after each module.
  /// - Returns: On rank 0 what came of it; elsewhere nil.
  /// - Throws: On rank 0 the first error of any rank; the folder is then not published.
  public func run(
    on world: borrowing Communicator, into folder: OutputFolder?,
    notify: @escaping @Sendable (String) -> Void, onProgress: (UnitProgress) -> Void
  ) throws -> Plan.Outcome? {
    let start = secondsNow()
    try world.checkOnce { try plan.checkMemory(resources) }
    try plan.inputs.checkOnAllHosts(world, notify: notify)
    guard world.rank == 0, let folder else {
      _ = try runUnits(on: world, finished: world.shared { [] }) { _, _ in }
      return nil
    }
    let units = plan.jobUnits
    let output = try JournaledOutput(
      folder, identity: plan.identity(version: versionText), unitCount: units.count, unitName: "modules",
      notify: notify)
    return try output.publish { journal in
      let finished = try world.shared { journal.carriedOver.sorted() }
      var progress = UnitProgress(units)
      for unit in finished { progress.finish(units[unit]) }
      let ranks = try runUnits(on: world, finished: finished, canCollect: { !journal.isFull }) {
        unit, bytes in
        try journal.append(unit, bytes)
        try folder.checkLock()
        progress.finish(units[unit])
        onProgress(progress)
      }
      try journal.flush()
      try plan.inputs.checkUnchanged()
      try folder.clearContents()
      return try plan.write(
        journal, into: folder, UnitRun(version: versionText, ranks: ranks, start: start))
    }
  }

  private func runUnits(
    on world: borrowing Communicator, finished: [Int], canCollect: () -> Bool = { true },
    collect: (Int, [UInt8]) throws -> Void
  ) throws -> [RankStatistics] {
    let threadCount = plan.usesThreads ? resources.threadCount : 1
    func run(_ work: some UnitWork) throws -> [RankStatistics] {
      let job = DistributedJob(
        work, units: plan.jobUnits, finished: Set(finished), headCoordinates: resources.headCoordinates,
        threadCount: threadCount)
      return try job.run(on: world, canCollect: canCollect, collect: collect)
    }
    return try run(plan.work(threadCount: threadCount))
  }
}

extension Journal {
  /// What a unit has left, which must be finished.
  func result(_ unit: Int) throws -> [UInt8] {
    guard let bytes = try read(unit) else {
      preconditionFailure("every unit is finished when the files are written")
    }
    return bytes
  }
}

/// How far a job of modules has come.
public struct UnitProgress: Sendable {
  /// Modules finished.
  public private(set) var finishedCount = 0
  /// All modules.
  public let unitCount: Int
  /// Bytes of the finished modules.
  public private(set) var bytesDone = 0
  /// The finished share of all cost, from 0 to 1.
  public private(set) var share = 0.0
  private let cost: Double

  init(_ units: [JobUnit]) {
    unitCount = units.count
    cost = units.reduce(0) { $0 + $1.cost }
  }

  mutating func finish(_ unit: JobUnit) {
    finishedCount += 1
    bytesDone += unit.byteCount
    share += unit.cost / cost
  }
}
