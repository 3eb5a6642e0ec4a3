public import Foundation
internal import Glibc

/// A folder that is filled out of sight and appears complete under its name, or not at all.
///
/// Files are made in `<path>.partial`, which a lock keeps for one job; `publish()` renames it. A job that
/// fails removes it; a job that was killed leaves it, visibly unfinished, and the next one starts over.
public final class OutputFolder {
  /// The name under which the folder will appear.
  public let path: String
  private let partialPath: String
  private let lock: Int32
  /// Folders above it that did not exist before, deepest first.
  private let madeParents: [String]
  private var isPublished = false

  /// Takes the name for this job.
  ///
  /// - Throws: `OutputError.occupied` if something is there already, `.inUse` if another job fills it now,
  ///   `.failed` with the operation and the reason if it cannot be made.
  public convenience init(path: String) throws {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    try refuseOccupied(path)
    let made = try makeFolders(path + ".partial")
    do {
      try self.init(path: path, lock: try lockFolder(path + ".partial"), madeParents: Array(made.dropFirst()))
    } catch {
      // The folder itself may be another job's; those above it were ours alone to make.
      for folder in made { rmdir(folder) }
      throw error
    }
  }

  /// The lock is held, so whatever is in the folder was left by a job that is dead.
  private init(path: String, lock: Int32, madeParents: [String]) throws {
    self.path = path
    partialPath = path + ".partial"
    self.lock = lock
    self.madeParents = madeParents
    for name in (try? FileManager.default.contentsOfDirectory(atPath: partialPath)) ?? [] {
      try? FileManager.default.removeItem(atPath: partialPath + "/" + name)
    }
  }

  deinit {
    if !isPublished {
      try? FileManager.default.removeItem(atPath: partialPath)
      for folder in madeParents { rmdir(folder) }
    }
    close(lock)
  }

  /// Where to make a file of this folder.
  public func file(_ name: String) -> String { partialPath + "/" + name }

  /// Writes a small file at once.
  public func write(_ data: Data, to name: String) throws {
    let target = file(name)
    let descriptor = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw failure("create", target) }
    defer { close(descriptor) }
    let bytes = [UInt8](data)
    var done = 0
    while done < bytes.count {
      // A slice's own copy: an array passes to C as it is.
      let count = Glibc.write(descriptor, Array(bytes[done...]), bytes.count - done)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw failure("write", target) }
      done += count
    }
    guard fsync(descriptor) == 0 else { throw failure("fsync", target) }
  }

  /// Lets the folder appear under its name, durably.
  public func publish() throws {
    guard fsync(lock) == 0 else { throw failure("fsync", partialPath) }
    // The name may exist as an empty folder, which rename replaces.
    guard rename(partialPath, path) == 0 else { throw failure("rename", path) }
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
  let entries = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
  guard entries.isEmpty else { throw OutputError.occupied(path: path, entryCount: entries.count) }
}

/// Makes a folder and those above it; returns the ones that were made, deepest first.
private func makeFolders(_ path: String) throws -> [String] {
  if mkdir(path, 0o777) == 0 { return [path] }
  if errno == EEXIST { return [] }
  let parent = (path as NSString).deletingLastPathComponent
  guard errno == ENOENT, !parent.isEmpty, parent != path else { throw failure("create", path) }
  let made = try makeFolders(parent)
  guard mkdir(path, 0o777) == 0 else {
    let error = failure("create", path)
    for folder in made { rmdir(folder) }
    throw error
  }
  return [path] + made
}

private func lockFolder(_ path: String) throws -> Int32 {
  let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  guard descriptor >= 0 else { throw failure("open", path) }
  guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
    close(descriptor)
    throw OutputError.inUse(path: path)
  }
  return descriptor
}

/// The error for the system call that just failed.
private func failure(_ operation: String, _ path: String) -> OutputError {
  .failed(path: path, operation: operation, reason: String(cString: strerror(errno)))
}
