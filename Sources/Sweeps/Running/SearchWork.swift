internal import Adapters
internal import Foundation
internal import Scheduling
internal import WeightSources

/// The search of a plan on rank 0: tries edits, keeps a row of each, and names the best.
///
/// What was evaluated before is not evaluated again, whatever number it had then: a search that was stopped goes on,
/// and one with another budget or seed takes what it can use.
final class SearchWork {
  private let search: SweepPlan.Search
  private let folder: SweepFolder
  private let command: String
  private let group: ExperimentGroup
  private let filter: SweepPlan.Filter
  private let extraction: ExtractionPlan
  private let identity: JobIdentity
  /// Rows of earlier runs by the text of their edit.
  private var known: [String: ExperimentRow] = [:]
  private var rows: [ExperimentRow] = []

  /// Adapters that are made before they are evaluated and most of them removed again.
  private static let largestBatch = 16

  /// The search of a group; nil if the plan searches for nothing there, or if it is done.
  ///
  /// - Throws: What is wrong with the models.
  init?(_ plan: SweepPlan, in group: ExperimentGroup, _ folder: SweepFolder, version: String) throws {
    guard group.isSearched, let search = plan.search, let evaluation = plan.evaluation,
      let filter = plan.filters.first(where: { $0.name == search.filter })
    else { return nil }
    self.search = search
    self.folder = folder
    self.group = group
    self.filter = filter
    command = evaluation.command
    let whole = Self.experiment(search, group, filter, name: "search", TripletEdit())
    extraction = try ExtractionPlan(plan.request(for: whole))
    identity = extraction.identity(version: version)
    if isDone { return nil }
  }

  private static func experiment(
    _ search: SweepPlan.Search, _ group: ExperimentGroup, _ filter: SweepPlan.Filter, name: String,
    _ edit: TripletEdit
  ) -> Experiment {
    Experiment(
      name: name, pair: group.pair, rank: search.rank, tolerance: group.tolerance, filter: filter,
      edit: SweepPlan.Edit(name: name, edit: edit))
  }

  /// Searches, on rank 0.
  ///
  /// - Parameters:
  ///   - work: The group, with its decomposition.
  ///   - evaluation: Of the plan.
  ///   - pool: The evaluators.
  ///   - notify: Called with sentences for a person.
  /// - Throws: `SweepError.noMetric` if the evaluation does not give the number that is searched by.
  func run(
    _ work: GroupWork, _ evaluation: GridEvaluation, on pool: inout EvaluationPool, notify: (String) -> Void
  ) throws {
    learn()
    let ranks = Dictionary(
      uniqueKeysWithValues: zip(extraction.modules, extraction.layout.modules).map {
        ($0.name, $1.largestRank)
      })
    let blockLength = search.blockLength ?? max(1, (ranks.values.max() ?? 1) / 8)
    let switches = TripletSwitch.all(ranks: ranks, blockLength: blockLength)
    var driver = EditSearch(
      switchCount: switches.count, budget: search.budget, seed: search.seed, goal: search.goal)
    var best: (value: Double, name: String)?
    try driver.run { sets in
      let experiments = sets.enumerated().map { number, off in
        let name = String(format: "search-%03d", rows.count + number + 1)
        return Self.experiment(search, group, filter, name: name, TripletEdit(off: off, of: switches))
      }
      for start in stride(from: 0, to: experiments.count, by: Self.largestBatch) {
        let batch = Array(experiments[start..<min(start + Self.largestBatch, experiments.count)])
        try evaluate(batch, work, evaluation, &pool)
        best = try removeBeaten()
        notify(
          "search: \(rows.count) edits evaluated, at most \(search.budget)"
            + (best.map { "; best \(search.metric) \($0.value) by \($0.name)" } ?? ""))
      }
      return rows.suffix(sets.count).map(value)
    }
    try conclude(best?.name, work)
  }

  private func value(_ row: ExperimentRow) -> Double? { row.evaluation?.outcome.number(search.metric) }

  /// Takes what earlier rows tell, if they are of this pair, rank, filter and command.
  private func learn() {
    for row in folder.rows() where row.name.hasPrefix("search-") {
      let isSame = row.identity == identity.adding(option: "edit", row.selection.text)
      let isEvaluated = row.evaluation.map { $0.command == command && $0.outcome.status == .ok } ?? false
      if isSame && (isEvaluated || row.status == .empty) { known[row.selection.text] = row }
    }
  }

  private func evaluate(
    _ batch: [Experiment], _ work: GroupWork, _ evaluation: GridEvaluation, _ pool: inout EvaluationPool
  ) throws {
    var new: [Experiment] = []
    for experiment in batch {
      guard var row = known[experiment.edit.edit.text] else {
        new.append(experiment)
        continue
      }
      // Under its new number; its adapter, if it is still there, goes by the old one.
      if row.name != experiment.name { try folder.removeAdapter(experiment.name) }
      row.name = experiment.name
      row.edit = experiment.name
      row.isBest = nil
      try folder.write(row)
    }
    try work.make(new)
    try evaluation.run(new, on: &pool) { _, _ in }
    rows += batch.compactMap { folder.row($0.name) }
    if rows.count == 1, let outcome = rows[0].evaluation?.outcome, outcome.status == .ok,
      value(rows[0]) == nil
    {
      throw SweepError.noMetric(
        name: search.metric, found: outcome.values.keys.sorted(), logPath: folder.logPath(rows[0].name))
    }
  }

  /// Removes the adapters of all edits but the best one; the first of equals is the best.
  private func removeBeaten() throws -> (value: Double, name: String)? {
    var best: (value: Double, name: String)?
    for row in rows {
      guard let value = value(row) else { continue }
      let isBetter = best.map { search.goal == .maximise ? value > $0.value : value < $0.value } ?? true
      if isBetter { best = (value, row.name) }
    }
    if !search.keepsAdapters {
      for row in rows where row.name != best?.name { try folder.removeAdapter(row.name) }
    }
    return best
  }

  /// Marks the best row, sees that its adapter is there, and writes its edit for a plan.
  private func conclude(_ best: String?, _ work: GroupWork) throws {
    let tried = Set(rows.map(\.name))
    for row in folder.rows() where row.name.hasPrefix("search-") && !tried.contains(row.name) {
      try folder.removeAdapter(row.name)
      try folder.removeRow(row.name)
    }
    if var row = rows.first(where: { $0.name == best }) {
      let edit = row.selection
      if !folder.hasAdapter(row.name) {
        try work.make([Self.experiment(search, group, filter, name: row.name, edit)])
      }
      row.isBest = true
      try folder.write(row)
      try writeDurably(Data(bestEdit(row, edit).utf8), to: folder.bestEditPath)
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try writeDurably(encoder.encode(conclusion(best: best)), to: folder.searchPath)
  }

  /// The best edit, to be pasted into a plan.
  private func bestEdit(_ row: ExperimentRow, _ edit: TripletEdit) -> String {
    let whole = rows.first.flatMap(value).map { " (\($0) with all singular values)" } ?? ""
    return """
      # The best of \(rows.count) edits of pair \(row.pair), rank \(row.rank.dropFirst()), filter \(row.filter): \
      \(search.metric) \(value(row).map { "\($0)" } ?? "unknown")\(whole).
      edits:
      \(edit.yaml(name: "best"))
      """
  }

  /// The end of a search, in a file of its own.
  private struct Conclusion: Codable, Equatable {
    var search: SweepPlan.Search
    var command: String
    var identity: JobIdentity
    var best: String?
  }

  private func conclusion(best: String?) -> Conclusion {
    Conclusion(search: search, command: command, identity: identity, best: best)
  }

  /// Whether this very search was finished, with its best adapter where it should be.
  private var isDone: Bool {
    guard let data = FileManager.default.contents(atPath: folder.searchPath),
      let made = try? JSONDecoder().decode(Conclusion.self, from: data)
    else { return false }
    return made == conclusion(best: made.best) && made.best.map(folder.hasAdapter) ?? true
  }
}
