public import Adapters
public import Initialisations
public import LinearAlgebra
public import WeightSources

/// What a person asked for of an initialisation, checked as far as that goes without the model.
public struct InitialisationRequest: Sendable, Codable, Equatable {
  /// The model's folder or file.
  public var modelPath: String
  /// The initialisation.
  public var method: InitialisationMethod
  /// How many triplets, columns or singular values.
  public var rank: Rank
  /// How leading triplets are found.
  public var svd: TruncatedSVD.Method
  /// Relative loss of captured energy at which an iteration for them may stop.
  public var tolerance: Double
  /// The seed of every random number.
  public var seed: UInt64
  /// Which modules.
  public var selection: ModuleSelection.Options
  /// The type of the factors; nil for the usual one.
  public var factorType: FactorType?
  /// The safetensors file with the second moments of inputs, for CorDA.
  public var covariancePath: String?
  /// Which triplets CorDA trains.
  public var mode: CorDAMode

  /// How large the trained part of a module is.
  public enum Rank: Sendable, Codable, Equatable {
    /// The same number for every module, or its shorter side if that is less.
    case number(Int)
    /// A fraction of the shorter side, rounded down as svd-training does; may come to 0.
    case fraction(Double)

    /// The rank for a matrix.
    public func rank(forShape shape: [Int]) -> Int {
      switch self {
      case .number(let number): min(number, shape.min() ?? 0)
      case .fraction(let fraction): SVDTraining.valueCount(ofShape: shape, fraction: fraction)
      }
    }
  }

  /// A request of given parts; an option that is nil has its usual value.
  /// - Throws: `RequestError` for numbers out of their range, `InitialisationRequestError` for options that do not go
  ///   together.
  public init(
    modelPath: String, method: InitialisationMethod, rank: Rank, svd: TruncatedSVD.Method, tolerance: Double?,
    seed: UInt64?, selection: ModuleSelection.Options, factorType: FactorType?, covariancePath: String?,
    mode: CorDAMode?
  ) throws {
    switch rank {
    case .number(let number): guard number >= 1 else { throw RequestError.rankNotPositive(number) }
    case .fraction(let fraction):
      guard fraction > 0 && fraction <= 1 else { throw RequestError.fractionOutOfRange(fraction) }
    }
    if let tolerance, !(tolerance > 0 && tolerance < 1) { throw RequestError.toleranceOutOfRange(tolerance) }
    if method == .corda && covariancePath == nil { throw InitialisationRequestError.noCovariance }
    if method != .corda && covariancePath != nil {
      throw InitialisationRequestError.foreignOption("--covariance", method: method)
    }
    if method != .corda && mode != nil {
      throw InitialisationRequestError.foreignOption("--mode", method: method)
    }
    if !method.takesLeadingTriplets && svd != .gram {
      throw InitialisationRequestError.foreignOption("--method", method: method)
    }
    let iterates = svd == .krylov || svd == .auto
    if tolerance != nil && !iterates { throw InitialisationRequestError.onlyIterating("--tolerance") }
    if seed != nil && !iterates && method != .loraXS {
      throw InitialisationRequestError.onlyIterating("--seed")
    }
    self.modelPath = modelPath
    self.method = method
    self.rank = rank
    self.svd = svd
    self.tolerance = tolerance ?? 1e-3
    self.seed = seed ?? 0
    self.selection = selection
    self.factorType = factorType
    self.covariancePath = covariancePath
    self.mode = mode ?? .ipm
  }

  /// The options as they were resolved, named as on the command line.
  func optionRows(factorType: FactorType) -> [(name: String, value: String)] {
    var rows = [("--as", method.rawValue)]
    switch rank {
    case .number(let number): rows.append(("--rank", "\(number)"))
    case .fraction(let fraction): rows.append(("--rank-fraction", "\(fraction)"))
    }
    if method.takesLeadingTriplets { rows.append(("--method", svd.rawValue)) }
    if svd == .krylov || svd == .auto { rows.append(("--tolerance", "\(tolerance)")) }
    if svd == .krylov || svd == .auto || method == .loraXS { rows.append(("--seed", "\(seed)")) }
    if let covariancePath { rows += [("--covariance", covariancePath), ("--mode", mode.rawValue)] }
    return rows + [("--factor-dtype", factorType.rawValue)] + selection.optionRows
  }
}

/// Options of an initialisation that do not go together.
public enum InitialisationRequestError: Error, CustomStringConvertible, Equatable, Sendable {
  /// CorDA without data.
  case noCovariance
  /// An option that the method does not have.
  case foreignOption(String, method: InitialisationMethod)
  /// An option of methods that begin at random and stop at a tolerance.
  case onlyIterating(String)

  /// One sentence with the option and the remedy.
  public var description: String {
    switch self {
    case .noCovariance:
      "--as corda needs the covariances of the modules' inputs; give a safetensors file with --covariance "
        + "(deploy/consumers/covariances.py makes one of PEFT's)"
    case .foreignOption(let option, let method):
      "\(option) does not belong to --as \(method.rawValue); leave it out"
    case .onlyIterating(let option):
      "\(option) is for --method krylov and auto, and nothing is iterated or drawn here; leave it out"
    }
  }
}
