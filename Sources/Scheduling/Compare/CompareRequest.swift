public import WeightSources

/// What a person asked for of a comparison, checked as far as that goes without the models.
public struct CompareRequest: Sendable, Codable, Equatable {
  /// The base model's folder or file.
  public var basePath: String
  /// The fine-tuned model's folder or file.
  public var tunedPath: String
  /// Which modules.
  public var selection: ModuleSelection.Options
  /// Accept tensors stored in different types on the two sides.
  public var acceptsMixedTypes: Bool
  /// Leading directions of each module that are compared.
  public var directionCount: Int
  /// Cosines below it make a direction an intruder.
  public var cosineLimit: Double

  /// A request of given parts.
  ///
  /// - Throws: `CompareRequestError` for numbers out of their range.
  public init(
    basePath: String, tunedPath: String, selection: ModuleSelection.Options, acceptsMixedTypes: Bool,
    directionCount: Int, cosineLimit: Double
  ) throws(CompareRequestError) {
    guard directionCount >= 1 else { throw .notPositive(directionCount) }
    guard cosineLimit > 0 && cosineLimit <= 1 else { throw .limitOutOfRange(cosineLimit) }
    self.basePath = basePath
    self.tunedPath = tunedPath
    self.selection = selection
    self.acceptsMixedTypes = acceptsMixedTypes
    self.directionCount = directionCount
    self.cosineLimit = cosineLimit
  }
}

/// A number on the command line of a comparison that means nothing.
public enum CompareRequestError: ExitCoded, CustomStringConvertible, Equatable, Sendable {
  /// `--directions` below 1.
  case notPositive(Int)
  /// `--epsilon` outside (0, 1].
  case limitOutOfRange(Double)

  /// The command line is wrong.
  public var exitCode: ExitCode { .usage }

  /// One sentence with the value and its range.
  public var description: String {
    switch self {
    case .notPositive(let value): "--directions is \(value); give a number of 1 or more"
    case .limitOutOfRange(let value):
      "--epsilon is \(value); give a cosine above 0 and at most 1, such as 0.5"
    }
  }
}
