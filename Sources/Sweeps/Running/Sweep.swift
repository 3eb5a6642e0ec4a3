internal import Adapters
internal import Foundation
internal import LinearAlgebra
public import MPI
public import Scheduling

/// All experiments of a plan, over all ranks: what they share is computed once.
public struct Sweep {
  private let plan: SweepPlan
  private let resources: JobResources
  private let version: String

  /// A sweep of a plan.
  ///
  /// - Parameters:
  ///   - plan: The same on every rank.
  ///   - resources: What the job may take.
  ///   - version: The program's.
  public init(_ plan: SweepPlan, resources: JobResources, version: String) {
    self.plan = plan
    self.resources = resources
    self.version = version
  }

  /// How a person is told how far a sweep is.
  public struct Progress {
    /// Called with sentences.
    public var notify: (String) -> Void
    /// Called after each unit of a decomposition.
    public var decomposed: (ProgressState) -> Void
    /// Called after each evaluation with the number done and of all.
    public var evaluated: (Int, Int) -> Void

    /// What to call.
    ///
    /// - Parameters:
    ///   - notify: With sentences.
    ///   - decomposed: After each unit of a decomposition.
    ///   - evaluated: After each evaluation.
    public init(
      notify: @escaping (String) -> Void, decomposed: @escaping (ProgressState) -> Void,
      evaluated: @escaping (Int, Int) -> Void
    ) {
      self.notify = notify
      self.decomposed = decomposed
      self.evaluated = evaluated
    }
  }

  /// Collective: makes and evaluates the adapters of some groups, and searches if the plan says so.
  ///
  /// What an earlier run has finished is left as it is; what failed is tried again.
  ///
  /// - Parameters:
  ///   - groups: Of the plan.
  ///   - world: All ranks of the job.
  ///   - progress: Used on rank 0.
  /// - Returns: On rank 0 what came of it; elsewhere nil.
  /// - Throws: What ends the whole sweep: a fault of the output folder, of the plan or of this program. What is wrong
  ///   with one pair of models stands in its rows.
  public func run(
    _ groups: [ExperimentGroup], on world: borrowing Communicator, _ progress: Progress
  ) throws -> SweepSummary? {
    if resources.headCoordinates && plan.options.method.isCollective {
      throw SweepError.headCoordinates(method: plan.options.method.rawValue)
    }
    var listener = StopListener()
    let folder = world.rank == 0 ? try SweepFolder(plan) : nil
    var searched: GroupWork?
    for group in groups {
      try listener.stopAll(on: world)
      guard let work = try decompose(group, folder, on: world, progress) else { continue }
      if work.search == nil { try work.close(removesJournal: true) } else { searched = work }
    }
    let experiments = groups.flatMap(\.experiments)
    if plan.evaluation != nil {
      try listener.stopAll(on: world)
      try evaluate(experiments, searched, folder, on: world, progress)
    }
    guard let folder else { return nil }
    try folder.writeTables()
    return SweepSummary(experiments, folder)
  }

  /// Collective: evaluates adapters, and searches for an edit if the plan says so.
  private func evaluate(
    _ experiments: [Experiment], _ searched: GroupWork?, _ folder: SweepFolder?,
    on world: borrowing Communicator, _ progress: Progress
  ) throws {
    // The pool looks for signals itself.
    StopSignals.exitAtOnce(false)
    defer { StopSignals.exitAtOnce(true) }
    var pool = try EvaluationPool(
      on: world, countPerHost: plan.evaluation?.countPerHost ?? 1,
      headCoordinates: resources.headCoordinates)
    guard let folder, let evaluation = GridEvaluation(plan, in: folder) else { return try pool.serve() }
    try evaluation.run(experiments, on: &pool, onProgress: progress.evaluated)
    if let searched {
      try searched.search?.run(searched, evaluation, on: &pool, notify: progress.notify)
      try searched.close(removesJournal: true)
    }
    try pool.dismiss()
  }

  /// Collective: decomposes what the experiments of a group share, and makes their adapters on rank 0.
  ///
  /// - Returns: On rank 0 the group with its decomposition; nil if there was nothing to do or it failed.
  private func decompose(
    _ group: ExperimentGroup, _ folder: SweepFolder?, on world: borrowing Communicator, _ progress: Progress
  ) throws -> GroupWork? {
    let work = try folder.map { folder in
      try GroupWork(group, of: plan, in: folder, version: version, notify: progress.notify)
    }
    let bytes = try world.broadcast(work?.union?.encoded() ?? [], root: 0)
    guard !bytes.isEmpty else { return nil }
    let extraction = Extraction(
      try ExtractionPlan(decoding: bytes), resources: resources, version: version, outlivesFailures: true)
    guard let work else {
      _ = try extraction.fill(nil, on: world, notify: progress.notify, onProgress: progress.decomposed)
      return nil
    }
    let start = Date()
    StopSignals.prepareExit { [journal = work.journal] in try? journal?.flush() }
    defer { StopSignals.prepareExit(nil) }
    do {
      work.noteDecomposition(
        by: try extraction.fill(
          work.journal, on: world, notify: progress.notify, onProgress: progress.decomposed))
    } catch let failure as JobFailure where failure.exitCode == .badInput {
      try work.fail(with: failure)
      try work.close(removesJournal: false)
      progress.notify("\(group.name): \(failure)")
      return nil
    }
    let decomposed = Date()
    try work.makeAdapters()
    progress.notify(
      String(
        format: "%@: decomposed in %.2f s, %d adapters written in %.2f s", group.name,
        decomposed.timeIntervalSince(start), work.pendingCount, Date().timeIntervalSince(decomposed)))
    return work
  }
}

/// What came of a sweep.
public struct SweepSummary: Sendable {
  /// Experiments by how they stand.
  public let counts: [ExperimentRow.Status: Int]
  /// Those that failed, the adapter or its evaluation.
  public let failed: [String]
  /// The table for a spreadsheet.
  public let tablePath: String
  /// The best row of a search, if there was one.
  public let best: ExperimentRow?

  init(_ experiments: [Experiment], _ folder: SweepFolder) {
    let rows = folder.rows()
    let names = Set(experiments.map(\.name))
    let own = rows.filter { names.contains($0.name) }
    counts = Dictionary(grouping: own, by: \.status).mapValues(\.count)
    failed = own.filter { [.failed, .evaluationFailed].contains($0.status) }.map(\.name)
    tablePath = folder.path + "/results.csv"
    best = rows.first { $0.isBest ?? false }
  }

  /// The line a person wants to read at the end.
  public var text: String {
    let states = counts.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.value) \($0.key.rawValue)" }
    return "\(tablePath): \(counts.values.reduce(0, +)) experiments: \(states.joined(separator: ", "))"
      + (best.map { "; best edit \($0.name): \($0.selection.text)" } ?? "")
  }
}
