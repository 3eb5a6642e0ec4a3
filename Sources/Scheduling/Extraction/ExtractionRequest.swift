public import Adapters
public import LinearAlgebra
public import WeightSources

/// What a person asked for, complete and checked as far as that goes without the models.
public struct ExtractionRequest: Sendable, Codable, Equatable {
  /// The base model's folder or file; nil if a model's own weights are decomposed, not a difference.
  public var basePath: String?
  /// The fine-tuned model's folder or file.
  public var tunedPath: String
  /// What the adapter calls its base model.
  public var baseName: String
  /// How large the ranks are.
  public var rank: RankRule
  /// Relative loss of captured energy at which an iteration may stop.
  public var tolerance: Double
  /// The decomposition.
  public var method: DecompositionMethod
  /// The seed of every random start.
  public var seed: UInt64
  /// Which modules.
  public var selection: ModuleSelection.Options
  /// The type of the factors; nil for the natural one of the two models.
  public var factorType: FactorType?
  /// Accept tensors stored in different types on the two sides.
  public var acceptsMixedTypes: Bool
  /// Store changed normalisations whole.
  public var savesNorms: Bool
  /// Store changes of bias.
  public var savesBias: Bool

  /// The rank of a module from its shape.
  public enum RankRule: Sendable, Codable, Equatable {
    /// The same number for every module.
    case number(Int)
    /// A fraction of the shorter side.
    case fraction(Double)

    /// The rank for a matrix, from 1 to min(rows, columns).
    public func rank(forShape shape: [Int]) -> Int {
      let short = shape.min() ?? 1
      switch self {
      case .number(let number): return min(number, short)
      case .fraction(let fraction): return max(1, min(short, Int((fraction * Double(short)).rounded())))
      }
    }
  }

  /// A request of given parts.
  /// - Throws: `RequestError` for numbers out of their range.
  public init(
    basePath: String?, tunedPath: String, baseName: String, rank: RankRule, tolerance: Double,
    method: DecompositionMethod, seed: UInt64, selection: ModuleSelection.Options, factorType: FactorType?,
    acceptsMixedTypes: Bool, savesNorms: Bool, savesBias: Bool
  ) throws {
    switch rank {
    case .number(let number): guard number >= 1 else { throw RequestError.rankNotPositive(number) }
    case .fraction(let fraction):
      guard fraction > 0 && fraction <= 1 else { throw RequestError.fractionOutOfRange(fraction) }
    }
    guard tolerance > 0 && tolerance < 1 else { throw RequestError.toleranceOutOfRange(tolerance) }
    self.basePath = basePath
    self.tunedPath = tunedPath
    self.baseName = baseName
    self.rank = rank
    self.tolerance = tolerance
    self.method = method
    self.seed = seed
    self.selection = selection
    self.factorType = factorType
    self.acceptsMixedTypes = acceptsMixedTypes
    self.savesNorms = savesNorms
    self.savesBias = savesBias
  }
}

/// A number on the command line that means nothing.
public enum RequestError: Error, CustomStringConvertible, Equatable, Sendable {
  /// `--rank` below 1.
  case rankNotPositive(Int)
  /// `--rank-fraction` outside (0, 1].
  case fractionOutOfRange(Double)
  /// `--tolerance` outside (0, 1).
  case toleranceOutOfRange(Double)

  /// One sentence with the value and its range.
  public var description: String {
    switch self {
    case .rankNotPositive(let value): "--rank is \(value); give a number of 1 or more"
    case .fractionOutOfRange(let value):
      "--rank-fraction is \(value); give a number above 0 and at most 1"
    case .toleranceOutOfRange(let value):
      "--tolerance is \(value); give a number between 0 and 1, such as 1e-3"
    }
  }
}
