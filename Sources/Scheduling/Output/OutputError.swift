internal import Foundation
internal import Glibc

/// Why an output folder cannot be made or filled.
public enum OutputError: Error, CustomStringConvertible, Equatable, Sendable {
  /// There is something under that name.
  case occupied(path: String, entryCount: Int)
  /// There is a file under that name.
  case notAFolder(path: String)
  /// Another job holds the lock.
  case inUse(path: String, owner: String?)
  /// An interrupted job left work that this one cannot use; what differs, a sentence each.
  case otherJob(path: String, differences: [String])
  /// There is finished work, and nobody can tell of what job.
  case unknownJob(path: String, fileCount: Int)
  /// Nothing can be made under that name.
  case unusableName(path: String, reason: String)
  /// A model was changed while the job read it.
  case inputChanged(path: String)
  /// The system refused an operation.
  case failed(path: String, operation: String, reason: String)

  /// The error for the system call that just failed.
  static func system(_ operation: String, _ path: String) -> OutputError {
    .failed(path: path, operation: operation, reason: String(cString: strerror(errno)))
  }

  /// The error for one that Foundation threw, with the system's reason where it has one.
  init(_ error: any Error, operation: String, _ path: String) {
    let reason = ((error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError).map { Int32($0.code) }
    self = .failed(
      path: path, operation: operation,
      reason: reason.map { String(cString: strerror($0)) } ?? error.localizedDescription)
  }

  /// The code this error ends a job with.
  var exitCode: ExitCode {
    if case .failed = self { .inputOutput } else { .badInput }
  }

  /// One sentence with the path, what was found and the remedy.
  public var description: String {
    switch self {
    case .occupied(let path, let count):
      "\(path): the output folder already holds \(count) \(count == 1 ? "entry" : "entries"); "
        + "remove it or give another with -o"
    case .notAFolder(let path): "\(path): is a file; give a folder to be made with -o"
    case .inUse(let path, let owner):
      "\(path): another job is filling this folder\(owner.map { " (\($0))" } ?? ""); give another with -o"
    case .otherJob(let path, let differences):
      "\(path): holds finished work of a job that differs: \(differences.joined(separator: "; ")); "
        + "start that one again, remove the folder, or give another with -o"
    case .unknownJob(let path, let count):
      "\(path): is damaged or of another version of unbraid, so that nobody knows what the \(count) "
        + "\(count == 1 ? "file" : "files") of finished work beside it are; remove the folder, or give another with -o"
    case .unusableName(let path, let reason):
      "\(path): \(reason); give the name of a folder to be made with -o"
    case .inputChanged(let path):
      "\(path): was changed while the job ran; nothing of it can be used, start again"
    case .failed(let path, let operation, let reason): "\(path): cannot \(operation): \(reason)"
    }
  }
}
