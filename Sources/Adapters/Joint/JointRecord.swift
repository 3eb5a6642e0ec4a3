public import Checkpoints

/// `decomposition.json` of a joint decomposition: what was decomposed, how, and how far the result is from it.
///
/// The same job writes the same bytes on any number of ranks: times and machines are in `report.json`.
public struct JointRecord: Sendable, Codable, Equatable {
  /// What the folder is, so that other programs and later versions can tell.
  public static let currentFormat = "unbraid joint decomposition 1"

  /// `currentFormat` of the program that wrote it.
  public var format = Self.currentFormat
  /// The program's version.
  public let version: String
  /// What the groups' tensors mean.
  public let method: JointMethod
  /// The base model's folder or file.
  public let base: String
  /// The fine-tuned models, in the order of the tuned mode.
  public let tuned: [String]
  /// The options as they were resolved, named as on the command line.
  public let options: [Option]
  /// The files of all models, as they were.
  public let inputs: [InputFile]
  /// One a group that changed, in the order of their names.
  public let groups: [JointGroupRecord]
  /// Groups in which nothing changed; they have no tensors.
  public let unchangedGroups: [String]
  /// Sentences: modules left out, clamped ranks, degenerate components.
  public let notes: [String]

  /// One option and its value.
  public struct Option: Sendable, Codable, Equatable {
    /// As on the command line.
    public let name: String
    /// As it would be typed.
    public let value: String

    /// An option.
    public init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }

  /// A record of given parts.
  public init(
    version: String, method: JointMethod, base: String, tuned: [String], options: [Option],
    inputs: [InputFile], groups: [JointGroupRecord], unchangedGroups: [String], notes: [String]
  ) {
    self.version = version
    self.method = method
    self.base = base
    self.tuned = tuned
    self.options = options
    self.inputs = inputs
    self.groups = groups
    self.unchangedGroups = unchangedGroups
    self.notes = notes
  }
}

/// How the layers of a group are decomposed together.
public enum JointMethod: String, Sendable, Codable, CaseIterable {
  /// Bases on both sides, a small core a layer.
  case tucker
  /// Rank-one components with a profile over the layers.
  case cp
  /// A basis on one side, coefficients a layer.
  case shared
}

/// One group: its modules, sizes and errors.
///
/// Numbers of slices come tuned model by tuned model, layer by layer.
public struct JointGroupRecord: Sendable, Codable, Equatable {
  /// The group's name, which its tensors' names begin with.
  public var name: String
  /// The safetensors file that holds them, inside the folder.
  public var file: String
  /// Module paths in the checkpoints, in the order of the layer mode.
  public var modules: [String]
  /// Outputs and inputs of each module.
  public var shape: [Int]
  /// Whether the checkpoints store these matrices as inputs × outputs (Conv1D); the tensors here never do.
  public var isStoredTransposed: Bool
  /// Fine-tuned models.
  public var tunedCount: Int
  /// Length of the outputs' basis; nil for CP, and for `shared` on the inputs.
  public var outRank: Int?
  /// Length of the inputs' basis; nil for CP, and for `shared` on the outputs.
  public var inRank: Int?
  /// Length of the layers' basis; nil if layers are left whole.
  public var layerRank: Int?
  /// Components of CP.
  public var componentCount: Int?
  /// Numbers that the group is stored in.
  public var parameterCount: Int
  /// ‖Δ‖_F² of each slice.
  public var energies: [Double]
  /// ‖Δ − Δ̂‖_F² of each slice for the tensors as written, explicit sums in double precision.
  public var residuals: [Double]
  /// What separate SVDs reach in as many numbers; nil if they were not asked for.
  public var separate: Separate?
  /// Times every slice was read, or looked at where it stayed in memory.
  public var passes: Int
  /// The energy that the subspaces held after each step of the iteration.
  public var capturedEnergies: [Double]
  /// Whether that stood still.
  public var isConverged: Bool
  /// The energy of the decomposition in each fine-tuned model.
  public var tunedEnergies: [Double]
  /// What tells whether to believe the components of CP.
  public var components: Components?

  /// Separate truncated SVDs of all slices, with one budget of triplets for all.
  public struct Separate: Sendable, Codable, Equatable {
    /// Triplets there is room for.
    public var tripletCount: Int
    /// How many of them each slice gets.
    public var ranks: [Int]
    /// ‖Δ − Δ̂‖_F² of each slice.
    public var residuals: [Double]
    /// Slices that might have got more had more been computed: the residuals are upper bounds if there are any.
    public var exhaustedCount: Int

    /// A comparison of given parts.
    public init(tripletCount: Int, ranks: [Int], residuals: [Double], exhaustedCount: Int) {
      self.tripletCount = tripletCount
      self.ranks = ranks
      self.residuals = residuals
      self.exhaustedCount = exhaustedCount
    }
  }

  /// What is known about the components of CP.
  public struct Components: Sendable, Codable, Equatable {
    /// λ², as a part of the group's energy, one a component; more than 1 in sum where components overlap.
    public var energyShares: [Double]
    /// For each component, its use by each fine-tuned model: unit vectors with a sign.
    public var tunedUse: [[Double]]
    /// Relative error on the core of every start, best first.
    public var startErrors: [Double]
    /// The factor match score between the best two runs.
    public var matchOfBestTwo: Double?
    /// CORCONDIA.
    public var coreConsistency: Double?
    /// Relative error after each sweep over the data.
    public var sweepErrors: [Double]
    /// Σλ² / ‖Δ‖²; above 10 is degenerate.
    public var weightRatio: Double
    /// The two components that are most alike.
    public var mostAlike: [Int]
    /// The product of their cosines over the modes; beyond ±0.99 is degenerate.
    public var largestCongruence: Double
    /// Whether components cancel or coincide.
    public var isDegenerate: Bool
    /// Sentences about the search.
    public var notes: [String]

    /// A judgement of given parts.
    public init(
      energyShares: [Double], tunedUse: [[Double]], startErrors: [Double], matchOfBestTwo: Double?,
      coreConsistency: Double?, sweepErrors: [Double], weightRatio: Double, mostAlike: [Int],
      largestCongruence: Double, isDegenerate: Bool, notes: [String]
    ) {
      self.energyShares = energyShares
      self.tunedUse = tunedUse
      self.startErrors = startErrors
      self.matchOfBestTwo = matchOfBestTwo
      self.coreConsistency = coreConsistency
      self.sweepErrors = sweepErrors
      self.weightRatio = weightRatio
      self.mostAlike = mostAlike
      self.largestCongruence = largestCongruence
      self.isDegenerate = isDegenerate
      self.notes = notes
    }
  }

  /// A record of a group's modules and errors; sizes and judgements are filled in by the method.
  public init(
    name: String, file: String, modules: [String], shape: [Int], isStoredTransposed: Bool, tunedCount: Int,
    parameterCount: Int, energies: [Double], residuals: [Double], separate: Separate?, passes: Int,
    capturedEnergies: [Double], isConverged: Bool, tunedEnergies: [Double]
  ) {
    self.name = name
    self.file = file
    self.modules = modules
    self.shape = shape
    self.isStoredTransposed = isStoredTransposed
    self.tunedCount = tunedCount
    self.parameterCount = parameterCount
    self.energies = energies
    self.residuals = residuals
    self.separate = separate
    self.passes = passes
    self.capturedEnergies = capturedEnergies
    self.isConverged = isConverged
    self.tunedEnergies = tunedEnergies
  }

  /// ‖Δ‖² over all slices.
  public var energy: Double { energies.reversed().reduce(0, +) }
  /// ‖Δ − Δ̂‖² over all slices.
  public var residual: Double { residuals.reversed().reduce(0, +) }
  /// ‖Δ − Δ̂‖ / ‖Δ‖.
  public var relativeError: Double { energy > 0 ? (residual / energy).squareRoot() : 0 }
  /// The same of separate SVDs.
  public var separateRelativeError: Double? {
    separate.map { energy > 0 ? ($0.residuals.reversed().reduce(0, +) / energy).squareRoot() : 0 }
  }
}
