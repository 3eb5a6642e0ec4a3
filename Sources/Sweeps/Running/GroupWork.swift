internal import Adapters
internal import Checkpoints
internal import Foundation
internal import Scheduling
internal import WeightSources

/// One group on rank 0: what is to be made, the decomposition that serves it, and the adapters.
final class GroupWork {
  let group: ExperimentGroup
  /// How many adapters of the grid are to be made.
  var pendingCount: Int { pending.count }
  /// The decomposition; nil if there is nothing to make.
  let union: ExtractionPlan?
  /// The search that takes its factors and is not done yet.
  let search: SearchWork?
  private(set) var journal: Journal?
  private let plan: SweepPlan
  private let folder: SweepFolder
  private let version: String
  private let pending: [(experiment: Experiment, plan: ExtractionPlan)]
  private let lock: FolderLock
  private var ranks: [RankStatistics] = []

  /// Adapters that are written side by side, each with an open file.
  private static let largestBatch = 64

  /// Plans every experiment of a group by its models' headers, and opens the group's journal.
  ///
  /// Experiments that cannot be planned get rows that say why; what is done already is left alone.
  ///
  /// - Throws: `SweepError.otherExperiment` if a row was made otherwise; what is wrong with the folder.
  init(
    _ group: ExperimentGroup, of plan: SweepPlan, in folder: SweepFolder, version: String,
    notify: (String) -> Void
  ) throws {
    self.group = group
    self.plan = plan
    self.folder = folder
    self.version = version
    _ = try makeFolders(folder.workPath(group.name))
    lock = try FolderLock(folder: folder.workPath(group.name))
    var planner = ExperimentPlanner(plan, version: version)
    let planned = try planner.plan(group.experiments) { experiment, error in
      try folder.write(ExperimentRow(experiment, .failed, identity: nil, message: "\(error)"))
      notify("\(experiment.name): \(error)")
    }
    pending = try planned.filter { experiment, extraction in
      try !isDone(experiment, planner.identity(of: experiment, extraction), folder)
    }
    // Of all of them, done or not: what was done and is lost must come out as it was.
    let isSearchable = planned.contains {
      $0.experiment.filter.name == plan.search?.filter && $0.experiment.rank == plan.search?.rank
    }
    search = isSearchable ? try SearchWork(plan, in: group, folder, version: version) : nil
    union = pending.isEmpty && search == nil ? nil : try planner.union(of: planned.map(\.experiment))
    if let union {
      journal = try openJournal(
        folder.workPath(group.name) + "/journal",
        union.identity(version: version).adding(option: "modules", union.modulesText), notify)
    }
  }

  /// Takes the statistics of the decomposition that is in the journal now.
  func noteDecomposition(by ranks: [RankStatistics]) { self.ranks = ranks }

  /// Makes every adapter of the grid that is to be made, with a row each.
  func makeAdapters() throws { try make(pending) }

  /// Rows of all experiments, after a failure that makes all of them impossible.
  func fail(with failure: JobFailure) throws {
    for (experiment, _) in pending {
      try folder.write(ExperimentRow(experiment, .failed, identity: nil, message: failure.description))
    }
  }

  /// Makes the adapters of edits that a search tries.
  func make(_ edits: [Experiment]) throws {
    var planner = ExperimentPlanner(plan, version: version)
    try make(edits.map { ($0, try planner.extractionPlan(for: $0)) })
  }

  /// Makes some adapters, reading each result of the decomposition once.
  private func make(_ wanted: [(experiment: Experiment, plan: ExtractionPlan)]) throws {
    for start in stride(from: 0, to: wanted.count, by: Self.largestBatch) {
      try makeBatch(Array(wanted[start..<min(start + Self.largestBatch, wanted.count)]))
    }
  }

  private func makeBatch(_ batch: [(experiment: Experiment, plan: ExtractionPlan)]) throws {
    guard let union, let journal else { preconditionFailure("adapters are made of a decomposition") }
    let makings = try batch.map { experiment, plan in
      // Without a row it was left by a job that was killed right after it had published it.
      try folder.removeAdapter(experiment.name)
      return try AdapterMaking(experiment, plan, path: folder.adapterPath(experiment.name))
    }
    do {
      for (number, unit) in union.units.enumerated() {
        guard let bytes = try journal.read(number) else { preconditionFailure("a decomposition is complete") }
        let result = try ExtractionResult(decoding: bytes)
        switch (unit, result) {
        case (.decompose(let index), .decomposed(let record, let factors)):
          let name = union.modules[index].name
          for making in makings { try making.add(module: name, record, factors) }
        case (.measure(let index), _):
          for making in makings { try making.add(leftOut: union.leftOut[index].pair.name, result) }
        default: preconditionFailure("a unit came back with another kind of result")
        }
      }
    } catch {
      for making in makings { making.discard() }
      throw error
    }
    let planner = ExperimentPlanner(plan, version: version)
    for (making, (experiment, plan)) in zip(makings, batch) {
      let figures = try making.finish(ranks: ranks, version: version)
      let status: ExperimentRow.Status =
        figures == nil ? .empty : self.plan.evaluation == nil ? .ok : .unevaluated
      try folder.write(
        ExperimentRow(
          experiment, status, identity: planner.identity(of: experiment, plan),
          message: figures == nil ? "nothing is left of any module" : nil, adapter: figures))
    }
  }

  /// Ends the group: its decomposition is of no more use.
  func close(removesJournal: Bool) throws {
    journal?.close()
    journal = nil
    if removesJournal { try removeAll(folder.workPath(group.name) + "/journal") }
  }
}

extension ExtractionPlan {
  /// Which modules are decomposed at which ranks, short enough for a sentence.
  fileprivate var modulesText: String {
    let modules = layout.modules.map { "\($0.path) \($0.largestRank)" } + leftOut.map(\.pair.name)
    return "\(layout.modules.count) (hash \(ContentHash(of: Array(modules.joined(separator: "\n").utf8))))"
  }
}

/// Whether an experiment's row says that its adapter is made and is the one that is wanted.
private func isDone(_ experiment: Experiment, _ identity: JobIdentity, _ folder: SweepFolder) throws -> Bool {
  guard let row = folder.row(experiment.name), let made = row.identity, row.status != .failed else {
    return false
  }
  let differences = identity.differences(to: made)
  guard differences.isEmpty else {
    throw SweepError.otherExperiment(path: folder.path, name: experiment.name, differences: differences)
  }
  return row.status == .empty || folder.hasAdapter(experiment.name)
}

/// The group's journal; one that another decomposition left is begun anew, since it is only a way to be faster.
private func openJournal(_ path: String, _ identity: JobIdentity, _ notify: (String) -> Void) throws
  -> Journal
{
  do {
    let journal = try Journal(folder: path, identity: identity)
    for notice in journal.notices { notify("note: \(notice)") }
    return journal
  } catch let error as OutputError {
    guard case .otherJob(_, let differences) = error else { throw error }
    notify("note: \(path): decomposed anew, since \(differences.joined(separator: "; "))")
    try removeAll(path)
    return try Journal(folder: path, identity: identity)
  }
}
