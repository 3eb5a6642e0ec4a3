internal import Adapters
internal import Checkpoints
internal import DistributedLinearAlgebra
internal import LinearAlgebra
internal import MPI
internal import WeightSources

/// How a process ends, in the words of sysexits.h.
public enum ExitCode: Int32, Sendable, Codable {
  /// All is well.
  case success = 0
  /// The command line is wrong, by itself or for this input.
  case usage = 64
  /// The input data are wrong.
  case badInput = 65
  /// A fault of this program.
  case internalFault = 70
  /// A file could not be written, or a device failed.
  case inputOutput = 74
  /// Stopped, and the same command carries on.
  case resumable = 75

  /// The code for an error of any layer.
  public init(for error: any Error) {
    self =
      switch error {
      case let error as JobFailure: error.exitCode
      case is JobStopped: .resumable
      case let error as SourceError: error.isUsage ? .usage : .badInput
      case let error as AdapterError: error.isUsage ? .usage : .badInput
      case let error as CheckpointError: error.kind == .badInput ? .badInput : .inputOutput
      case let error as OutputError: error.exitCode
      case is RequestError, is PlanError, is JointRequestError, is JointPlanError: .usage
      case is LAPACKError, is ExtractionError, is JointJobError, is JointFolderError, is DistributedSVDError:
        .badInput
      default: .internalFault
      }
  }
}

extension ExitCode {
  /// Whether what a job had finished is of use to the same job started again: not if its input was wrong.
  var keepsFinishedWork: Bool {
    switch self {
    case .inputOutput, .resumable, .internalFault: true
    case .success, .usage, .badInput: false
    }
  }
}

/// An error of any rank, on its way to the one rank that reports it.
public struct JobFailure: Error, Sendable, Codable, CustomStringConvertible {
  /// The MPI rank it happened on.
  public let mpiRank: Int
  /// How the job ends.
  public let exitCode: ExitCode
  /// The sentence to print.
  public let description: String

  /// Takes an error of this rank along.
  public init(_ error: any Error, mpiRank: Int) {
    if let failure = error as? JobFailure {
      self = failure
    } else {
      self.mpiRank = mpiRank
      exitCode = ExitCode(for: error)
      description = "\(error)"
    }
  }
}
