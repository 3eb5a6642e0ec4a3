internal import Adapters
internal import Scheduling
internal import WeightSources

/// Plans extractions for experiments from the headers of their models, each kind once.
struct ExperimentPlanner {
  private let plan: SweepPlan
  private let version: String
  private var plans: [Key: Result<ExtractionPlan, any Error>] = [:]

  /// What experiments of a group with equal extractions have in common.
  private struct Key: Hashable {
    var rank: String
    var filter: String
  }

  /// A planner for the experiments of one pair and tolerance.
  init(_ plan: SweepPlan, version: String) {
    self.plan = plan
    self.version = version
  }

  /// The plan of the extraction that would give an experiment's factors before its edit.
  ///
  /// - Throws: What is wrong with the models, or with the filter or the edit for these models.
  mutating func extractionPlan(for experiment: Experiment) throws -> ExtractionPlan {
    let key = Key(rank: experiment.rank.label, filter: experiment.filter.name)
    let result = plans[key] ?? Result { try ExtractionPlan(plan.request(for: experiment)) }
    plans[key] = result
    return try result.get()
  }

  /// Plans some experiments of one group.
  ///
  /// - Parameters:
  ///   - experiments: In the plan's order.
  ///   - fail: Called for each that cannot be planned.
  /// - Returns: The others.
  /// - Throws: What `fail` throws.
  mutating func plan(_ experiments: [Experiment], fail: (Experiment, any Error) throws -> Void) throws -> [(
    experiment: Experiment, plan: ExtractionPlan
  )] {
    var planned: [(experiment: Experiment, plan: ExtractionPlan)] = []
    for experiment in experiments {
      do { planned.append((experiment, try extractionPlan(for: experiment))) } catch {
        try fail(experiment, error)
      }
    }
    let types = Set(planned.flatMap { $0.plan.modules.map { moduleType($0.name) } })
    return try planned.filter { experiment, _ in
      let unknown = experiment.edit.edit.namedTypes.subtracting(types).sorted()
      guard let type = unknown.first else { return true }
      try fail(
        experiment,
        SweepError.unknownType(
          edit: experiment.edit.name, type: type, pair: experiment.pair.name, known: types.sorted()))
      return false
    }
  }

  /// What an experiment's adapter depends on.
  func identity(of experiment: Experiment, _ extraction: ExtractionPlan) -> JobIdentity {
    extraction.identity(version: version).adding(option: "edit", experiment.edit.edit.text)
  }

  /// The plan of the decomposition that serves some experiments; nil for none.
  ///
  /// - Throws: `SweepError.factorTypesDiffer` if their factors have unlike types.
  mutating func union(of experiments: [Experiment]) throws -> ExtractionPlan? {
    guard let first = experiments.first else { return nil }
    var types: [String: FactorType] = [:]
    for experiment in experiments {
      types[experiment.filter.name] = try extractionPlan(for: experiment).layout.factorType
    }
    guard Set(types.values).count == 1 else {
      throw SweepError.factorTypesDiffer(pair: first.pair.name, filters: types.keys.sorted())
    }
    var ranks: [ExtractionRequest.RankRule] = []
    for rank in experiments.map(\.rank) where !ranks.contains(rank) { ranks.append(rank) }
    var filters: [SweepPlan.Filter] = []
    for filter in experiments.map(\.filter) where !filters.contains(where: { $0.name == filter.name }) {
      filters.append(filter)
    }
    return try ExtractionPlan(
      plan.request(for: first), filters: filters.map(\.selection), ranks: ranks)
  }
}
