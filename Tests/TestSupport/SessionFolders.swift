import Foundation
import Synchronization

/// Folders for Open MPI's files, one a job, that go with the test process.
enum SessionFolders {
  private static let count = Atomic<Int>(0)

  /// A short name: Open MPI puts sockets below it, whose paths are limited.
  private static let parent: String = {
    let path = "/tmp/ub-\(ProcessInfo.processInfo.processIdentifier)"
    atexit { try? FileManager.default.removeItem(atPath: SessionFolders.parent) }
    return path
  }()

  /// Makes another one.
  static func next() throws -> String {
    let path = "\(parent)/\(count.add(1, ordering: .relaxed).newValue)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
  }
}
