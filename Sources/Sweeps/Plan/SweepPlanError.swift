public import Scheduling

/// What is wrong with a plan file.
public struct SweepPlanError: Error, CustomStringConvertible, Equatable, Sendable, ExitCoded {
  /// The plan file's path.
  public let file: String
  /// The line, from 1, where the parser tells it.
  public let line: Int?
  /// What was found and the remedy.
  public let sentence: String

  /// A plan is a longer command line.
  public var exitCode: ExitCode { .usage }

  /// One sentence that begins with the place.
  public var description: String { "\(file):\(line.map { "\($0):" } ?? "") \(sentence)" }
}
