public import Adapters
public import LinearAlgebra
public import Scheduling
public import WeightSources

/// What a plan file asks for, complete and checked as far as that goes without the models.
public struct SweepPlan: Sendable, Codable {
  /// The plan file.
  public let path: String
  /// The folder that holds everything the sweep makes.
  public let outputPath: String
  /// The pairs of models.
  public let pairs: [Pair]
  /// The ranks.
  public let ranks: [ExtractionRequest.RankRule]
  /// Relative losses at which an iteration may stop.
  public let tolerances: [Double]
  /// Sets of modules.
  public let filters: [Filter]
  /// Sets of singular values.
  public let edits: [Edit]
  /// Which lists stand in the file, so that experiments are named by them.
  public let named: Set<Axis>
  /// What holds for all experiments.
  public let options: Options
  /// What is run on each finished adapter.
  public let evaluation: Evaluation?
  /// The edit that is looked for.
  public let search: Search?

  /// What experiments can differ in and be named by.
  public enum Axis: String, Sendable, Codable {
    /// How long iterations go on.
    case tolerances
    /// Which modules.
    case filters
    /// Which singular values.
    case edits
  }

  /// A base model and a fine-tune of it.
  public struct Pair: Sendable, Codable, Equatable {
    /// What experiments call it.
    public let name: String
    /// The base model's folder or file.
    public let basePath: String
    /// The fine-tuned model's.
    public let tunedPath: String
    /// What adapters call the base model.
    public let baseName: String
  }

  /// A set of modules.
  public struct Filter: Sendable, Codable {
    /// What experiments call it.
    public let name: String
    /// Which modules.
    public let selection: ModuleSelection.Options
  }

  /// A set of singular values.
  public struct Edit: Sendable, Codable {
    /// What experiments call it.
    public let name: String
    /// Which singular values.
    public let edit: TripletEdit
  }

  /// Options of `unbraid extract` that all experiments share.
  public struct Options: Sendable, Codable {
    /// Seed of every random start.
    public var seed: UInt64 = 0
    /// The decomposition.
    public var method = DecompositionMethod.auto
    /// The factors' type; nil for the natural one.
    public var factorType: FactorType?
    /// Accept unlike types on the two sides.
    public var acceptsMixedTypes = false
    /// Store changed normalisations whole.
    public var savesNorms = false
    /// Store changes of bias.
    public var savesBias = false
  }

  /// A command that judges an adapter.
  public struct Evaluation: Sendable, Codable, Equatable {
    /// For the shell.
    public let command: String
    /// Seconds after which it is ended; nil for never.
    public let timeoutSeconds: Double?
    /// How many run on one machine at a time.
    public let countPerHost: Int
  }

  /// A search for the best edit.
  public struct Search: Sendable, Codable, Equatable {
    /// The number of the evaluation that counts.
    public let metric: String
    /// Whether more of it is better.
    public let goal: Goal
    /// How many edits are evaluated at most.
    public let budget: Int
    /// The seed of every random choice.
    public let seed: UInt64
    /// The pair, the rank and the modules that are searched.
    public let pair: String
    /// The largest rank.
    public let rank: ExtractionRequest.RankRule
    /// The filter's name.
    public let filter: String
    /// How many neighbouring singular values are switched together; nil for an eighth of the rank.
    public let blockLength: Int?
    /// Whether adapters of beaten edits stay.
    public let keepsAdapters: Bool

    /// Which way is better.
    public enum Goal: String, Sendable, Codable, CaseIterable {
      /// More is better.
      case maximise
      /// Less is better.
      case minimise
    }
  }
}
