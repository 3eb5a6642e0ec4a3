import Foundation
import Scheduling
import TestSupport
import Testing

@Suite struct FolderLockTests {
  private let folder: TemporaryFolder
  /// Twenty times a second, so that a test need not wait.
  private let patience = FolderLock.Patience(leave: 0.1, beat: 0.05, missedBeats: 4)

  init() throws { folder = try TemporaryFolder() }

  private func lock(_ usesSystemLock: Bool) throws -> FolderLock {
    try FolderLock(folder: folder.path, usesSystemLock: usesSystemLock, patience: patience)
  }

  private var isHeld: Bool { FileManager.default.fileExists(atPath: folder.file("lock")) }

  private static func stranger(beat: Int) -> String {
    """
    {"beat":\(beat),"host":"node7","process":12,"since":"2026-11-21T10:00:00Z",
    "token":"00000000-0000-0000-0000-000000000000"}
    """
  }

  @Test("one job has it at a time; another one learns who", arguments: [true, false])
  func exclusive(usesSystemLock: Bool) throws {
    let first = try lock(usesSystemLock)
    #expect(first.abandonedBy == nil)
    for _ in 0..<3 {
      let error = #expect(throws: OutputError.self) { try lock(usesSystemLock) }
      let process = ProcessInfo.processInfo.processIdentifier
      #expect(
        error?.description.contains("another job is filling this folder (process \(process) on ") ?? false)
    }
    withExtendedLifetime(first) {}
  }

  @Test("given free, it leaves nothing", arguments: [true, false])
  func givenFree(usesSystemLock: Bool) throws {
    do { _ = try lock(usesSystemLock) }
    #expect(!isHeld)
    #expect(try lock(usesSystemLock).abandonedBy == nil)
  }

  @Test("what a dead job left is recognised and taken over", arguments: [true, false])
  func stale(usesSystemLock: Bool) throws {
    try folder.write(Self.stranger(beat: 4).utf8, to: "lock")
    let taken = try lock(usesSystemLock)
    #expect(taken.abandonedBy?.description == "process 12 on node7, since 2026-11-21T10:00:00Z")
    #expect(throws: OutputError.self) { try lock(usesSystemLock) }
    withExtendedLifetime(taken) {}
  }

  @Test(
    "an owner that was taken for dead learns it, and leaves the new one's lock alone",
    arguments: [true, false])
  func overtaken(usesSystemLock: Bool) throws {
    do {
      let first = try lock(usesSystemLock)
      try first.check()
      try folder.write(Self.stranger(beat: 1).utf8, to: "lock")
      let deadline = Date(timeIntervalSinceNow: 10)
      while Date() < deadline, (try? first.check()) != nil { Thread.sleep(forTimeInterval: 0.01) }
      let error = #expect(throws: OutputError.self) { try first.check() }
      #expect(error?.description.contains("process 12 on node7") ?? false)
    }
    #expect(isHeld)
  }

  @Test("a lock of the system does not hide a living owner on another machine")
  func livingElsewhere() throws {
    try folder.write(Self.stranger(beat: 1).utf8, to: "lock")
    let folder = folder
    let heart = Thread {
      for beat in 2..<40 {
        Thread.sleep(forTimeInterval: 0.02)
        try? folder.write(Self.stranger(beat: beat).utf8, to: "lock")
      }
    }
    heart.start()
    #expect(throws: OutputError.self) { try lock(true) }
  }

  @Test("of jobs that begin at once where the system has no locks, at most one gets it")
  func race() async throws {
    for _ in 0..<5 {
      let path = folder.path
      let patience = patience
      let winners = await withTaskGroup(of: FolderLock?.self) { group in
        for _ in 0..<2 {
          group.addTask { try? FolderLock(folder: path, usesSystemLock: false, patience: patience) }
        }
        var locks: [FolderLock] = []
        for await lock in group { if let lock { locks.append(lock) } }
        return locks.count
      }
      #expect(winners <= 1)
    }
  }
}
