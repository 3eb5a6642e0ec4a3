package import Foundation
internal import Glibc

/// Keeps a folder for one job, also where several machines share it.
///
/// The file `lock` in it is locked with flock(2), which Linux carries over NFS and which ends with the process
/// that holds it: what a dead job left is no lock. Where the file system knows no locks (Lustre without `flock`,
/// NFS with `nolock`) the owner counts on in the file instead, and an owner that stands still is gone.
package final class FolderLock: Sendable {
  /// Who filled the folder before and is gone without having finished; nil if nobody.
  package let abandonedBy: Owner?
  private let path: String
  private let descriptor: Int32
  private let heart: Heart?

  /// How long to wait for whom, in seconds.
  package struct Patience {
    /// For an owner that may be on its way out: the ranks of a job whose mpirun was killed follow within a second.
    package var leave: TimeInterval
    /// How often an owner counts on where the file system knows no locks.
    package var beat: TimeInterval
    /// So many mean that it is gone.
    package var missedBeats: Int

    /// Patience of given kinds.
    package init(leave: TimeInterval = 3, beat: TimeInterval = 5, missedBeats: Int = 3) {
      self.leave = leave
      self.beat = beat
      self.missedBeats = missedBeats
    }
  }

  /// A job that fills a folder, as it calls itself in the lock file.
  package struct Owner: Sendable, Codable, Equatable, CustomStringConvertible {
    var host: String
    var process: Int32
    var since: String
    /// Tells apart jobs that all else does not.
    var token: UUID
    var beat = 0

    package var description: String { "process \(process) on \(host), since \(since)" }

    /// This process.
    init() {
      let name = try? String(contentsOfFile: "/proc/sys/kernel/hostname", encoding: .utf8)
      host = name?.trimmingCharacters(in: .whitespacesAndNewlines) ?? "this machine"
      process = getpid()
      since = Date().formatted(.iso8601)
      token = UUID()
    }

    static func read(_ path: String) -> Owner? {
      FileManager.default.contents(atPath: path).flatMap { try? JSONDecoder().decode(Owner.self, from: $0) }
    }
  }

  /// Takes the lock of a folder that exists.
  ///
  /// - Parameters:
  ///   - folder: The folder to keep.
  ///   - usesSystemLock: Whether to ask for flock(2) first; false is for tests.
  ///   - patience: How long to wait for an owner that may be about to leave or gone already.
  /// - Throws: `OutputError.inUse` if another job has it, `.failed` if the system refuses.
  package init(folder: String, usesSystemLock: Bool = true, patience: Patience = Patience()) throws {
    path = folder + "/lock"
    let (descriptor, isLocked) = try openLocked(
      path, folder: folder, patience: usesSystemLock ? patience : nil)
    self.descriptor = descriptor
    let previous = Owner.read(path)
    let owner = Owner()
    do {
      if isLocked {
        heart = nil
        try write(owner, path, options: [])
      } else {
        heart = try Heart(path, owner: owner, previous: previous, folder: folder, patience: patience)
      }
    } catch {
      close(descriptor)
      throw error
    }
    abandonedBy = previous
  }

  /// Gives the folder free.
  deinit {
    heart?.stop()
    // Before the descriptor closes: whoever waits for the name finds it gone and makes a new file.
    unlink(path)
    close(descriptor)
  }
}

/// Opens the lock file and locks it; false if the file system knows no locks, or without patience for any.
private func openLocked(_ path: String, folder: String, patience: FolderLock.Patience?) throws -> (
  Int32, Bool
) {
  let deadline = Date(timeIntervalSinceNow: patience?.leave ?? 0)
  while true {
    // For writing: over NFS the lock is one on bytes, which only a writer may keep others from.
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw OutputError.system("open", path) }
    guard patience != nil else { return (descriptor, false) }
    if flock(descriptor, LOCK_EX | LOCK_NB) == 0 {
      if isStillNamed(descriptor, path) { return (descriptor, true) }
      close(descriptor)
      continue
    }
    let reason = errno
    if [ENOSYS, EOPNOTSUPP, ENOLCK].contains(reason) { return (descriptor, false) }
    close(descriptor)
    guard reason == EWOULDBLOCK else {
      errno = reason
      throw OutputError.system("lock", path)
    }
    guard Date() < deadline else {
      throw OutputError.inUse(path: folder, owner: FolderLock.Owner.read(path)?.description)
    }
    Thread.sleep(forTimeInterval: 0.05)
  }
}

/// Whether the name still leads to the open file: another job may have given it free in between.
private func isStillNamed(_ descriptor: Int32, _ path: String) -> Bool {
  var (opened, named) = (stat(), stat())
  return fstat(descriptor, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino
}

/// Into the same file, where a lock is on it; as a new one, atomically, where others read it meanwhile.
private func write(_ owner: FolderLock.Owner, _ path: String, options: Data.WritingOptions) throws {
  do { try JSONEncoder().encode(owner).write(to: URL(fileURLWithPath: path), options: options) } catch {
    throw OutputError.system("write", path)
  }
}

/// The owner's sign of life in the lock file.
private final class Heart: @unchecked Sendable {
  // Sendable because `isStopped` is touched only under the lock and everything else is constant.

  private let lock = NSCondition()
  private var isStopped = false

  /// Waits until the previous owner is surely gone, then begins to count.
  ///
  /// Clocks of several machines are not compared: an owner lives if its count changes while one looks.
  init(
    _ path: String, owner: FolderLock.Owner, previous: FolderLock.Owner?, folder: String,
    patience: FolderLock.Patience
  ) throws {
    if let previous {
      Thread.sleep(forTimeInterval: patience.beat * Double(patience.missedBeats))
      let now = FolderLock.Owner.read(path)
      guard now == previous else { throw OutputError.inUse(path: folder, owner: now?.description) }
    }
    try write(owner, path, options: .atomic)
    // Two jobs that began at once have both written by now; the later one has it.
    Thread.sleep(forTimeInterval: patience.beat / 5)
    let winner = FolderLock.Owner.read(path)
    guard winner == owner else { throw OutputError.inUse(path: folder, owner: winner?.description) }
    let thread = Thread { self.run(path, owner, patience.beat) }
    thread.name = "heart"
    thread.start()
  }

  func stop() { lock.withChange { isStopped = true } }

  private func run(_ path: String, _ owner: FolderLock.Owner, _ interval: TimeInterval) {
    var owner = owner
    lock.lock()
    defer { lock.unlock() }
    while !isStopped {
      if lock.wait(until: Date(timeIntervalSinceNow: interval)) { continue }
      owner.beat += 1
      // A beat that cannot be written is missed; the job's own files will tell why.
      try? write(owner, path, options: .atomic)
    }
  }
}
