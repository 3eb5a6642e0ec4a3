public import Scheduling

/// Why a sweep cannot go on, or ends with a code other than 0.
public enum SweepError: Error, CustomStringConvertible, Equatable, Sendable, ExitCoded {
  /// An experiment of this name was made otherwise.
  case otherExperiment(path: String, name: String, differences: [String])
  /// Filters that share a decomposition want factors of unlike types.
  case factorTypesDiffer(pair: String, filters: [String])
  /// An edit names a type that no filter of the pair takes.
  case unknownType(edit: String, type: String, pair: String, known: [String])
  /// The evaluation does not give the number that a search goes by.
  case noMetric(name: String, found: [String], logPath: String)
  /// A method over all ranks cannot leave out rank 0.
  case headCoordinates(method: String)
  /// There is no group of this index.
  case noSuchIndex(index: Int, count: Int)
  /// Some experiments failed; the others are done.
  case failures(names: [String], tablePath: String)

  /// Nothing of this is the program's fault.
  public var exitCode: ExitCode {
    switch self {
    case .factorTypesDiffer, .unknownType, .noMetric, .noSuchIndex, .headCoordinates: .usage
    case .otherExperiment, .failures: .badInput
    }
  }

  /// One sentence with what was found and the remedy.
  public var description: String {
    switch self {
    case .otherExperiment(let path, let name, let differences):
      "\(path): experiment '\(name)' was made otherwise: \(differences.joined(separator: "; ")); give another "
        + "'output', or remove this one's row and adapter"
    case .factorTypesDiffer(let pair, let filters):
      "pair '\(pair)': the modules of filters \(filters.map { "'\($0)'" }.joined(separator: ", ")) are stored in "
        + "unlike types, so that their factors would be; give 'factor-dtype'"
    case .unknownType(let edit, let type, let pair, let known):
      "edit '\(edit)' names modules '\(type)', of which pair '\(pair)' has none; here are "
        + known.joined(separator: ", ")
    case .noMetric(let name, let found, let logPath):
      "'search.metric' is '\(name)', but the evaluation gave \(found.isEmpty ? "nothing" : found.joined(separator: ", ")) "
        + "(\(logPath)); name one of its numbers"
    case .headCoordinates(let method):
      "--head-coordinates leaves rank 0 out, and method '\(method)' of the plan takes all ranks; give one of them"
    case .noSuchIndex(let index, let count):
      "--index is \(index), but the plan has groups 0 to \(count - 1); 'unbraid sweep --list' shows them"
    case .failures(let names, let tablePath):
      "\(names.count) \(names.count == 1 ? "experiment" : "experiments") failed "
        + "(\(names.prefix(3).joined(separator: ", "))\(names.count > 3 ? ", …" : "")); \(tablePath) says why"
    }
  }
}
