internal import Checkpoints
internal import Foundation

/// The finished units of a job, kept in a folder so that the same job, started again, carries on.
///
/// A thread of its own writes what `append` is given, several results at once where they come fast, so that a
/// slow device delays nobody. A unit counts as finished once its segment is durable: written, fsynced, renamed,
/// and the folder fsynced.
public final class Journal: @unchecked Sendable {
  // Sendable because every stored property below the lock is touched only under it.

  /// Units that earlier runs of the job had finished.
  public let carriedOver: Set<Int>
  /// What a person should know about them, a sentence each: what is damaged and computed again, or may differ.
  public let notices: [String]
  private let folder: String

  private let lock = NSCondition()
  private var segments: [Int: JournalSegment] = [:]
  private var pending: [(unit: Int, bytes: [UInt8])] = []
  /// Bytes of what is pending and of what is being written.
  private var waitingBytes = 0
  private var segmentCount: Int
  private var failure: (any Error)?
  private var isWriting = false
  private var isClosed = false
  /// Nobody waits for results any longer: what is there is written without waiting for more.
  private var isFlushing = false

  /// How long results wait for others to be written with them; a crash loses no more than that.
  private static let gatheringTime = 0.1
  /// Bytes that may wait.
  private static let largestWaiting = 256 << 20

  /// Opens the journal of a job, empty or with what earlier runs left.
  ///
  /// - Parameters:
  ///   - folder: Where it is; made if it is not there.
  ///   - identity: What the job is.
  ///   - problem: Asked for each unit whose result describes what lies elsewhere: what is wrong with that, if anything.
  /// - Throws: `OutputError.otherJob` if the folder has work of a job with another identity, `.failed` or
  ///   `CheckpointError` if it cannot be read or made.
  public init(
    folder: String, identity: JobIdentity, problem: (Int, [UInt8]) throws -> String? = { _, _ in nil }
  ) throws {
    self.folder = folder
    let (files, changes) = try openFolder(folder, identity: identity)
    segmentCount = files.compactMap(segmentNumber).max() ?? 0
    let (found, damages) = try readSegments(
      files.filter { segmentNumber($0) != nil }.map { folder + "/" + $0 }, problem)
    segments = found
    notices = (found.isEmpty ? [] : changes) + damages
    carriedOver = Set(found.keys)
    let thread = Thread { self.writeSegments() }
    thread.name = "journal"
    thread.start()
  }

  /// Ends the journal's thread once everything that was appended is written, as far as it can be.
  public func close() {
    try? flush()
    lock.withChange { isClosed = true }
  }

  /// How many units are durable now.
  public var finishedCount: Int { lock.withChange { segments.count } }

  /// How many of the units with lower numbers than one are durable now.
  func finishedCount(below limit: Int) -> Int { lock.withChange { segments.keys.count { $0 < limit } } }

  /// Whether so much waits for the device that no more should be appended for now.
  public var isFull: Bool { lock.withChange { waitingBytes > Self.largestWaiting && failure == nil } }

  /// Takes a unit's result; it is durable a moment later.
  ///
  /// A unit that is given again, such as the state of something in work, has its latest result.
  ///
  /// - Throws: The error that ended the writing of an earlier one.
  public func append(_ unit: Int, _ bytes: [UInt8]) throws {
    lock.lock()
    defer { lock.unlock() }
    if let failure { throw failure }
    // Of a result that is not written yet, only the latest is worth it.
    waitingBytes += bytes.count - pending.filter { $0.unit == unit }.reduce(0) { $0 + $1.bytes.count }
    pending.removeAll { $0.unit == unit }
    pending.append((unit, bytes))
    lock.broadcast()
  }

  /// Waits until everything that was appended is durable.
  ///
  /// - Throws: The error that ended the writing.
  public func flush() throws {
    lock.lock()
    defer { lock.unlock() }
    isFlushing = true
    lock.broadcast()
    while (!pending.isEmpty || isWriting) && failure == nil { lock.wait() }
    isFlushing = false
    if let failure { throw failure }
  }

  /// The result of a finished unit; nil if it is not finished.
  ///
  /// - Throws: `OutputError.failed` if its file cannot be read any more.
  public func read(_ unit: Int) throws -> [UInt8]? {
    guard let segment = lock.withChange({ segments[unit] }) else { return nil }
    do { return try segment.read(unit) } catch {
      throw OutputError.failed(path: segment.path, operation: "read back", reason: "\(error)")
    }
  }

  private func writeSegments() {
    while let results = nextResults() {
      do {
        try writeSegment(results)
      } catch {
        // A device that has no room for all of them may have some for the first ones.
        for result in results where results.count > 1 {
          guard (try? writeSegment([result])) != nil else { break }
        }
        lock.withChange { failure = error }
      }
      lock.withChange {
        isWriting = false
        waitingBytes -= results.reduce(0) { $0 + $1.bytes.count }
      }
    }
  }

  private func writeSegment(_ results: [(unit: Int, bytes: [UInt8])]) throws {
    let number = lock.withChange {
      segmentCount += 1
      return segmentCount
    }
    let path = folder + "/" + String(format: "%06d", number) + segmentSuffix
    let segment = try JournalSegment(writing: results, to: path)
    lock.withChange { for (unit, _) in results { segments[unit] = segment } }
  }

  /// Waits for results, and a little longer for more of them.
  private func nextResults() -> [(unit: Int, bytes: [UInt8])]? {
    lock.lock()
    defer { lock.unlock() }
    while pending.isEmpty {
      if isClosed || failure != nil { return nil }
      lock.wait()
    }
    let deadline = Date(timeIntervalSinceNow: Self.gatheringTime)
    while !isFlushing && !isClosed && waitingBytes < Self.largestWaiting / 4 && lock.wait(until: deadline) {}
    defer {
      pending.removeAll()
      lock.broadcast()
    }
    isWriting = true
    return pending
  }
}

extension Journal {
  /// Sees that a folder holds no finished work, for a job that has no journal.
  ///
  /// - Throws: `OutputError.otherJob` if it does, `.unknownJob` if nobody can tell of what job.
  static func refuseWork(in folder: String) throws {
    guard FileManager.default.fileExists(atPath: folder) else { return }
    let path = folder + "/" + identityFile
    let workCount = try namesInFolder(folder).count { segmentNumber($0) != nil }
    guard workCount > 0 else { return }
    guard let job = identity(path) else { throw OutputError.unknownJob(path: path, fileCount: workCount) }
    let options = job.options.map { "\($0.name) \($0.value)" }.joined(separator: ", ")
    throw OutputError.otherJob(path: folder, differences: ["\(options) there"])
  }
}

private func identity(_ path: String) -> JobIdentity? {
  FileManager.default.contents(atPath: path).flatMap {
    try? JSONDecoder().decode(JobIdentity.self, from: $0)
  }
}

private let identityFile = "job.json"
private let segmentSuffix = ".safetensors"

private func segmentNumber(_ file: String) -> Int? {
  file.hasSuffix(segmentSuffix) ? Int(file.dropLast(segmentSuffix.count)) : nil
}

/// Makes the folder with the job's identity, or holds the identity against the one that is there.
///
/// Finished work is never taken away here, except that of another job that had none.
private func openFolder(_ folder: String, identity: JobIdentity) throws -> (
  files: [String], changes: [String]
) {
  _ = try makeFolders(folder)
  let path = folder + "/" + identityFile
  let files = try namesInFolder(folder)
  let workCount = files.filter { segmentNumber($0) != nil }.count
  if let other = Scheduling.identity(path) {
    let differences = identity.differences(to: other)
    if differences.isEmpty { return (files.sorted(), identity.changes(since: other)) }
    guard workCount == 0 else { throw OutputError.otherJob(path: folder, differences: differences) }
  }
  guard workCount == 0 else { throw OutputError.unknownJob(path: path, fileCount: workCount) }
  try removeAll(folder)
  _ = try makeFolders(folder)
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  try writeDurably(try encoder.encode(identity), to: path)
  return ([], [])
}

/// Opens segments, the oldest first; a unit that is there twice counts as in the newer one.
private func readSegments(_ paths: [String], _ problem: (Int, [UInt8]) throws -> String?) throws -> (
  units: [Int: JournalSegment], damages: [String]
) {
  var units: [Int: JournalSegment] = [:]
  var damagedUnits: [Int: String] = [:]
  var sentences: [String] = []
  for path in paths {
    do {
      let segment = try JournalSegment(opening: path, problem: problem) { damagedUnits[$0] = $1 }
      for unit in segment.results.keys { units[unit] = segment }
    } catch let error as CheckpointError where error.kind == .badInput {
      sentences.append("\(error); what it held is computed again")
      try removeAll(path)
    }
  }
  let damages = damagedUnits.filter { units[$0.key] == nil }.sorted { $0.key < $1.key }
  return (units, sentences + damages.map(\.value))
}
