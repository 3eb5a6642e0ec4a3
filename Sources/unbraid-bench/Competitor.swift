import ArgumentParser
import Foundation

/// Another program to run beside ours: `--compare NAME=COMMAND`.
struct Competitor: ExpressibleByArgument {
  let name: String
  private let command: String

  static let help: ArgumentHelp = """
    Run another command beside ours: NAME=COMMAND; may be repeated. If its last line is a number, that is its \
    seconds, otherwise its wall-clock time counts.
    """

  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
    guard parts.count == 2 else { return nil }
    (name, command) = (parts[0], parts[1])
  }

  /// One run of a competitor.
  struct Outcome {
    let seconds: Double
    /// Energy in the result, if the command prints a line `captured NUMBER`.
    let captured: Double?
  }

  /// Runs the command in a shell, with values put in for the names in braces.
  func run(_ values: [String: String] = [:], threads: Int) throws -> Outcome {
    let text = values.reduce(command) { $0.replacingOccurrences(of: "{\($1.key)}", with: $1.value) }
    let result = try ChildProcess.run(["sh", "-c", text], threads: threads)
    let lines = result.output.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    let captured = lines.last { $0.hasPrefix("captured ") }.flatMap { Double($0.dropFirst(9)) }
    return Outcome(seconds: lines.last.flatMap { Double($0) } ?? result.seconds, captured: captured)
  }
}
