public import Adapters
public import WeightSources

/// What a person asked for of a joint decomposition, checked as far as that goes without the models.
public struct JointRequest: Sendable, Codable, Equatable {
  /// The base model's folder or file.
  public var basePath: String
  /// The fine-tuned models' folders or files, one or more.
  public var tunedPaths: [String]
  /// How layers are decomposed together.
  public var method: JointMethod
  /// How large the result is.
  public var size: Size
  /// Length of the layers' basis for `tucker`; nil leaves layers whole.
  public var layerRank: Int?
  /// The side of the basis for `shared`; nil for that of the residual stream.
  public var side: Side?
  /// Regular expressions that make a group each; by module type if there are none.
  public var groupPatterns: [String]
  /// Which modules.
  public var selection: ModuleSelection.Options
  /// The seed of every random start.
  public var seed: UInt64
  /// Starts of CP on the core.
  public var startCount: Int
  /// Steps of the subspace iteration at most; nil for the default.
  public var stepLimit: Int?
  /// Accept tensors stored in different types on the two sides.
  public var acceptsMixedTypes: Bool
  /// Whether separate SVDs of as many numbers are computed beside.
  public var comparesSeparateSVDs: Bool

  /// What decides how many numbers a group is stored in.
  public enum Size: Sendable, Codable, Equatable {
    /// Basis vectors of outputs and inputs, or components.
    case ranks(out: Int, in: Int)
    /// The relative error to stay below, for `tucker`.
    case tolerance(Double)
  }

  /// A side of a weight matrix.
  public enum Side: String, Sendable, Codable, CaseIterable {
    /// Outputs.
    case out
    /// Inputs.
    case `in`
  }

  /// A request of given parts; 20 starts if no number is given.
  /// - Throws: `JointRequestError` for numbers out of their range or options that do not go together.
  public init(
    basePath: String, tunedPaths: [String], method: JointMethod, size: Size, layerRank: Int?, side: Side?,
    groupPatterns: [String], selection: ModuleSelection.Options, seed: UInt64, startCount: Int?,
    stepLimit: Int?, acceptsMixedTypes: Bool, comparesSeparateSVDs: Bool
  ) throws(JointRequestError) {
    switch size {
    case .ranks(let out, let `in`):
      guard min(out, `in`) >= 1 else { throw .notPositive(option: "--rank", value: min(out, `in`)) }
      guard method == .tucker || out == `in` else { throw .twoRanks(method: method.rawValue) }
    case .tolerance(let tolerance):
      guard method == .tucker else {
        throw .foreignOption("--tolerance", owners: "tucker", method: method.rawValue)
      }
      guard layerRank == nil else { throw .layerRankWithTolerance }
      guard tolerance > 0 && tolerance < 1 else { throw .toleranceOutOfRange(tolerance) }
    }
    if let layerRank {
      guard method == .tucker else {
        throw .foreignOption("--layer-rank", owners: "tucker", method: method.rawValue)
      }
      guard layerRank >= 1 else { throw .notPositive(option: "--layer-rank", value: layerRank) }
    }
    if side != nil && method != .shared {
      throw .foreignOption("--side", owners: "shared", method: method.rawValue)
    }
    if let startCount {
      guard method == .cp else { throw .foreignOption("--starts", owners: "cp", method: method.rawValue) }
      guard startCount >= 1 else { throw .notPositive(option: "--starts", value: startCount) }
    }
    if let stepLimit {
      guard method != .shared else {
        throw .foreignOption("--steps", owners: "tucker and cp", method: method.rawValue)
      }
      guard stepLimit >= 0 else { throw .notPositive(option: "--steps", value: stepLimit) }
    }
    self.basePath = basePath
    self.tunedPaths = tunedPaths
    self.method = method
    self.size = size
    self.layerRank = layerRank
    self.side = side
    self.groupPatterns = groupPatterns
    self.selection = selection
    self.seed = seed
    self.startCount = startCount ?? 20
    self.stepLimit = stepLimit
    self.acceptsMixedTypes = acceptsMixedTypes
    self.comparesSeparateSVDs = comparesSeparateSVDs
  }
}

/// Numbers on the command line of a joint decomposition that mean nothing.
public enum JointRequestError: Error, CustomStringConvertible, Equatable, Sendable {
  /// A number below 1.
  case notPositive(option: String, value: Int)
  /// `--tolerance` outside (0, 1).
  case toleranceOutOfRange(Double)
  /// Two ranks for a method that has one.
  case twoRanks(method: String)
  /// An option of some methods with another one.
  case foreignOption(_ option: String, owners: String, method: String)
  /// A number of the layers' vectors where the tolerance finds the numbers.
  case layerRankWithTolerance

  /// One sentence with the value and its range.
  public var description: String {
    switch self {
    case .notPositive(let option, let value): "\(option) is \(value); give a number of 1 or more"
    case .toleranceOutOfRange(let value):
      "--tolerance is \(value); give a relative error between 0 and 1, such as 0.5"
    case .twoRanks(let method):
      "--ranks gives two numbers, and --method \(method) has one; give --rank"
    case .foreignOption(let option, let owners, let method):
      "\(option) belongs to --method \(owners), and --method \(method) was given; leave out one of them"
    case .layerRankWithTolerance:
      "--layer-rank gives a number where --tolerance finds the numbers; leave out one of them"
    }
  }
}
