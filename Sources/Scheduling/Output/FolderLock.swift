package import Foundation
internal import Glibc

/// Keeps a folder for one job, also where several machines share it.
///
/// The file `lock` in it is locked with flock(2), which NFS carries to the server and which ends with the process that
/// holds it. Some mounts have no locks (Lustre without `flock`), or locks that other machines do not see (NFS with
/// `nolock` or `local_lock`). Therefore every owner also counts on in the file, and an owner on another machine that
/// may be alive is watched: one that stands still is gone.
package final class FolderLock: Sendable {
  /// Who filled the folder before and is gone without having finished; nil if nobody.
  package let abandonedBy: Owner?
  private let path: String
  private let descriptor: Int32
  private let heart: Heart

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
    do {
      heart = try Heart(
        LockFile(path: path, folder: folder, lockedDescriptor: isLocked ? descriptor : nil),
        previous: previous,
        patience: patience)
    } catch {
      if isLocked { unlink(path) }
      close(descriptor)
      throw error
    }
    abandonedBy = previous
  }

  /// Sees that nobody has taken the folder over, which can happen to a process that stood still for long.
  ///
  /// - Throws: `OutputError.inUse` with the new owner.
  package func check() throws { try heart.check() }

  /// Gives the folder free.
  deinit {
    // Before the descriptor closes: whoever waits for the name finds it gone and makes a new file.
    heart.stop()
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

/// The lock file, as its owner writes it.
private struct LockFile: Sendable {
  let path: String
  let folder: String
  /// Where the system's lock is on the file, which must then stay the same file.
  let lockedDescriptor: Int32?

  func write(_ owner: FolderLock.Owner) throws {
    let data = try JSONEncoder().encode(owner)
    guard let lockedDescriptor else {
      do { try data.write(to: URL(fileURLWithPath: path), options: .atomic) } catch {
        throw OutputError(error, operation: "write", path)
      }
      return
    }
    guard lseek(lockedDescriptor, 0, SEEK_SET) == 0 else { throw OutputError.system("write", path) }
    try Scheduling.write(data, to: lockedDescriptor, path)
    guard ftruncate(lockedDescriptor, off_t(data.count)) == 0 else { throw OutputError.system("write", path) }
  }

  func refusal(_ owner: FolderLock.Owner?) -> OutputError {
    OutputError.inUse(path: folder, owner: owner?.description)
  }
}

/// The owner's sign of life in the lock file.
private final class Heart: @unchecked Sendable {
  // Sendable because what changes is touched only under the lock.

  private let file: LockFile
  private let lock = NSCondition()
  private var owner = FolderLock.Owner()
  private var usurper: FolderLock.Owner?
  private var isStopped = false

  /// Waits until the previous owner is surely gone, then begins to count.
  ///
  /// Clocks of several machines are not compared: an owner lives if its count changes while one looks. The system's
  /// lock says enough of an owner on this machine.
  init(_ file: LockFile, previous: FolderLock.Owner?, patience: FolderLock.Patience) throws {
    self.file = file
    if let previous, file.lockedDescriptor == nil || previous.host != owner.host {
      Thread.sleep(forTimeInterval: patience.beat * Double(patience.missedBeats))
      let now = FolderLock.Owner.read(file.path)
      guard now == previous else { throw file.refusal(now) }
    }
    try file.write(owner)
    if file.lockedDescriptor == nil {
      // Two jobs that began at once have both written by now; the later one has it.
      Thread.sleep(forTimeInterval: patience.beat / 5)
      let winner = FolderLock.Owner.read(file.path)
      guard winner == owner else { throw file.refusal(winner) }
    }
    let thread = Thread { self.run(patience.beat) }
    thread.name = "heart"
    thread.start()
  }

  func check() throws {
    if let usurper = lock.withChange({ usurper }) { throw file.refusal(usurper) }
  }

  /// Ends the count, and removes the file if it is still this owner's.
  func stop() {
    lock.withChange {
      isStopped = true
      if FolderLock.Owner.read(file.path)?.token == owner.token { unlink(file.path) }
    }
  }

  private func run(_ interval: TimeInterval) {
    lock.lock()
    defer { lock.unlock() }
    while !isStopped && usurper == nil {
      if lock.wait(until: Date(timeIntervalSinceNow: interval)) || isStopped { continue }
      if let found = FolderLock.Owner.read(file.path), found.token != owner.token {
        usurper = found
        continue
      }
      owner.beat += 1
      // A beat that cannot be written is missed; the job's own files will tell why.
      try? file.write(owner)
    }
  }
}
