internal import Adapters
internal import Analysis
internal import Checkpoints
internal import DistributedLinearAlgebra
internal import Initialisations
internal import LinearAlgebra
internal import MPI
internal import WeightSources

/// How a process ends, in the words of sysexits.h.
public enum ExitCode: Int32, Sendable, Codable {
  /// All is well.
  case success = 0
  /// All went well, and what was to be checked does not hold.
  case unmet = 1
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
      case let error as ProfileError: error.isUsage ? .usage : .badInput
      case let error as OverlapError: error.isUsage ? .usage : .badInput
      case let error as CheckpointError: error.kind == .badInput ? .badInput : .inputOutput
      case let error as InitialisationError: error.isUsage ? .usage : .badInput
      case let error as OutputError: error.exitCode
      case let error as any ExitCoded: error.exitCode
      case let error as FolderAdapterError: error.isUsage ? .usage : .badInput
      case is RequestError,
        is PlanError,
        is JointRequestError,
        is JointPlanError,
        is ComponentError,
        is SpectrumEditError,
        is InitialisationRequestError,
        is ScanRequestError,
        is ScanPlanError:
        .usage
      case is HostError,
        is LAPACKError,
        is ExtractionError,
        is JointJobError,
        is JointFolderError,
        is JointAdapterError,
        is DecompositionFolderError,
        is PEFTAdapterError,
        is MergeError,
        is LayerRatiosError,
        is DistributedSVDError:
        .badInput
      default: .internalFault
      }
  }
}

/// Whether an error shows that what a job has finished is of no use to the same job started again.
///
/// True only where the weights themselves are at fault: they will be as wrong the next time. Everything else may be
/// the machine's fault, and work of other inputs is refused anyway.
func spoilsFinishedWork(_ error: any Error) -> Bool {
  switch error {
  case let error as JobFailure: error.spoilsFinishedWork
  case is SourceError, is AdapterError, is ExtractionError, is JointJobError, is LAPACKError,
    is InitialisationError,
    is DistributedSVDError,
    is MergeError,
    is PEFTAdapterError,
    is ConversionError:
    true
  case OutputError.inputChanged: true
  default: false
  }
}

/// An error of a layer above this one, which says itself how a job ends by it.
public protocol ExitCoded: Error {
  /// The code this error ends a job with.
  var exitCode: ExitCode { get }
}

/// An error of any rank, on its way to the one rank that reports it.
public struct JobFailure: Error, Sendable, Codable, CustomStringConvertible {
  /// The MPI rank it happened on.
  public let mpiRank: Int
  /// How the job ends.
  public let exitCode: ExitCode
  /// The sentence to print.
  public let description: String
  /// Whether finished work is of no use after it.
  let spoilsFinishedWork: Bool

  /// Takes an error of this rank along.
  public init(_ error: any Error, mpiRank: Int) {
    if let failure = error as? JobFailure {
      self = failure
    } else {
      self.mpiRank = mpiRank
      exitCode = ExitCode(for: error)
      spoilsFinishedWork = Scheduling.spoilsFinishedWork(error)
      description = "\(error)"
    }
  }
}
