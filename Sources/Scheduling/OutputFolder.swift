public import Foundation

/// A folder that is filled out of sight and appears complete under its name, or not at all.
///
/// Files are made in `<path>.partial`, which a lock keeps for one job; `publish()` renames it. A job that
/// fails removes it; a job that was killed leaves it, visibly unfinished, and the next one starts over.
public final class OutputFolder {
  /// The name under which the folder will appear.
  public let path: String
  private let partialPath: String
  private let lock: Int32
  private var isPublished = false

  /// Takes the name for this job.
  ///
  /// - Throws: `OutputError.occupied` if something is there already, `.inUse` if another job fills it now,
  ///   `.failed` with the operation and the reason if it cannot be made.
  public init(path: String) throws {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    let partialPath = path + ".partial"
    self.path = path
    self.partialPath = partialPath
    try refuseOccupied(path)
    try attempt("create", partialPath) {
      try FileManager.default.createDirectory(atPath: partialPath, withIntermediateDirectories: true)
    }
    lock = open(partialPath, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard lock >= 0 else {
      throw OutputError.failed(path: partialPath, operation: "open", reason: lastReason())
    }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      close(lock)
      throw OutputError.inUse(path: partialPath)
    }
    try attempt("empty", partialPath) {
      for name in try FileManager.default.contentsOfDirectory(atPath: partialPath) {
        try FileManager.default.removeItem(atPath: partialPath + "/" + name)
      }
    }
  }

  deinit {
    if !isPublished { try? FileManager.default.removeItem(atPath: partialPath) }
    close(lock)
  }

  /// Where to make a file of this folder.
  public func file(_ name: String) -> String { partialPath + "/" + name }

  /// Writes a small file at once.
  public func write(_ data: Data, to name: String) throws {
    let target = file(name)
    try attempt("write", target) { try data.write(to: URL(fileURLWithPath: target)) }
    let descriptor = open(target, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw OutputError.failed(path: target, operation: "open", reason: lastReason())
    }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else {
      throw OutputError.failed(path: target, operation: "fsync", reason: lastReason())
    }
  }

  /// Lets the folder appear under its name, durably.
  public func publish() throws {
    guard fsync(lock) == 0 else {
      throw OutputError.failed(path: partialPath, operation: "fsync", reason: lastReason())
    }
    // The name may exist as an empty folder, which rename replaces.
    guard rename(partialPath, path) == 0 else {
      throw OutputError.failed(path: path, operation: "rename", reason: lastReason())
    }
    isPublished = true
    let parent = open(
      (path as NSString).deletingLastPathComponent.isEmpty
        ? "." : (path as NSString).deletingLastPathComponent,
      O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if parent >= 0 {
      fsync(parent)
      close(parent)
    }
  }
}

/// Why an output folder cannot be made or filled.
public enum OutputError: Error, CustomStringConvertible, Equatable, Sendable {
  /// There is something under that name.
  case occupied(path: String, entryCount: Int)
  /// There is a file under that name.
  case notAFolder(path: String)
  /// Another job holds the lock.
  case inUse(path: String)
  /// The system refused an operation.
  case failed(path: String, operation: String, reason: String)

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
    case .inUse(let path): "\(path): another job is filling this folder; give another with -o"
    case .failed(let path, let operation, let reason): "\(path): cannot \(operation): \(reason)"
    }
  }
}

private func refuseOccupied(_ path: String) throws {
  var isFolder: ObjCBool = false
  guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { return }
  guard isFolder.boolValue else { throw OutputError.notAFolder(path: path) }
  var entries: [String] = []
  try attempt("list", path) { entries = try FileManager.default.contentsOfDirectory(atPath: path) }
  guard entries.isEmpty else { throw OutputError.occupied(path: path, entryCount: entries.count) }
}

private func attempt(_ operation: String, _ path: String, _ body: () throws -> Void) throws {
  do {
    try body()
  } catch {
    let reason = ((error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError)
      .map { String(cString: strerror(Int32($0.code))) }
    throw OutputError.failed(
      path: path, operation: operation, reason: reason ?? "\(error.localizedDescription)")
  }
}

private func lastReason() -> String { String(cString: strerror(errno)) }
