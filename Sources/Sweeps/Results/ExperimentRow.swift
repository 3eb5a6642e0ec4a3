public import Adapters
public import Scheduling

/// What is known about one experiment: a row of the results, and a file of its own.
public struct ExperimentRow: Sendable, Codable, Equatable {
  /// The experiment's name, which is its folder's.
  public var name: String
  /// The pair's name.
  public var pair: String
  /// The rank before the edit, as in the plan.
  public var rank: String
  /// The tolerance.
  public var tolerance: Double
  /// The filter's name.
  public var filter: String
  /// The edit's name.
  public var edit: String
  /// What the edit keeps or drops.
  public var selection: TripletEdit
  /// How it stands.
  public var status: Status
  /// Why it failed, or what else is to be said.
  public var message: String?
  /// Its numbers; nil unless there is an adapter.
  public var adapter: AdapterFigures?
  /// What the evaluation said; nil if there was none.
  public var evaluation: Evaluation?
  /// Whether a search found nothing better.
  public var isBest: Bool?
  /// Everything that was asked for: an experiment with another one is another experiment.
  ///
  /// Nil in tables, and where the models could not be read.
  public var identity: JobIdentity?

  /// How an experiment stands.
  public enum Status: String, Sendable, Codable {
    /// The adapter is written, and its evaluation, if any, went well.
    case ok
    /// Nothing is left by the edit: there is no adapter.
    case empty
    /// The adapter could not be made.
    case failed
    /// The adapter is written and waits for its evaluation.
    case unevaluated
    /// The adapter is written, but its evaluation failed.
    case evaluationFailed = "evaluation-failed"
  }

  /// An evaluation and the command that it was.
  public struct Evaluation: Sendable, Codable, Equatable {
    /// The command.
    public var command: String
    /// Its outcome.
    public var outcome: EvaluationOutcome
  }

  /// A row of an experiment of which nothing is known yet.
  ///
  /// - Parameters:
  ///   - experiment: What it is.
  ///   - status: How it stands.
  ///   - identity: Everything the adapter depends on, if the models could be read.
  ///   - message: Why, if it failed.
  ///   - adapter: Its numbers.
  package init(
    _ experiment: Experiment, _ status: Status, identity: JobIdentity?, message: String? = nil,
    adapter: AdapterFigures? = nil
  ) {
    name = experiment.name
    pair = experiment.pair.name
    rank = experiment.rank.label
    tolerance = experiment.tolerance
    filter = experiment.filter.name
    edit = experiment.edit.name
    selection = experiment.edit.edit
    self.status = status
    self.message = message
    self.adapter = adapter
    self.identity = identity
  }
}

/// The numbers of an adapter.
public struct AdapterFigures: Sendable, Codable, Equatable {
  /// Modules with factors.
  public var modules: Int
  /// Entries of all factors.
  public var parameters: Int
  /// Bytes of the file of factors.
  public var bytes: Int
  /// Share of ‖Δ‖² of the filter's modules in the factors as written.
  public var energyKept: Double
  /// The module with factors that keeps the least of its energy.
  public var worstModule: String
  /// What it keeps.
  public var worstEnergyKept: Double
  /// Seconds of choosing and writing; the decomposition is shared.
  public var seconds: Double
}
