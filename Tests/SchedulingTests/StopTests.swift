import Foundation
import TestSupport
import Testing

extension SchedulingSuite {
  /// Jobs of sleeping units that are asked to stop.
  @Suite struct StopTests {
    @Test("SIGUSR1 to any rank lets all finish what they do, and nothing else", arguments: [0, 1, 3])
    func soft(rank: Int) throws {
      let job = try StoppedJob(ranks: 4, count: 100, seconds: 0.5)
      try job.signal(SIGUSR1, rank: rank)
      let (status, line, seconds) = try job.end()
      #expect(status == 0)
      #expect(line == "SIGUSR1 4")
      #expect(seconds < 1.5)
    }

    @Test("SIGTERM to any rank drops everything at once", arguments: [0, 2])
    func urgent(rank: Int) throws {
      let job = try StoppedJob(ranks: 3, count: 10, seconds: 100)
      try job.signal(SIGTERM, rank: rank)
      let (status, line, seconds) = try job.end()
      #expect(status == 0)
      #expect(line == "SIGTERM 0")
      #expect(seconds < 1)
    }

    @Test("a second SIGUSR1 drops what the first lets finish; one that follows at once is the same")
    func twice() throws {
      let job = try StoppedJob(ranks: 2, count: 10, seconds: 100)
      try job.signal(SIGUSR1, rank: 1)
      usleep(100_000)
      try job.signal(SIGUSR1, rank: 1)
      usleep(1_500_000)
      #expect(job.line == nil, "the units are still in work")
      try job.signal(SIGUSR1, rank: 1)
      let (status, line, _) = try job.end()
      #expect(status == 0)
      #expect(line == "SIGUSR1 0")
    }

    @Test("a team's unit is dropped, and its messages that nobody takes hold up nothing")
    func team() throws {
      let job = try StoppedJob(ranks: 2, count: 10, seconds: 100, options: ["team"])
      try job.signal(SIGUSR1, rank: 0)
      let (status, line, seconds) = try job.end()
      #expect(status == 0)
      #expect(line == "SIGUSR1 0")
      #expect(seconds < 1)
    }

    @Test("a rank that leaves by itself while rank 0 has no time holds up nobody", arguments: [2, 4])
    func late(ranks: Int) throws {
      let result = try MPIProgram("late-stop").run(ranks: ranks, timeoutSeconds: 10)
      #expect(result.status == 0, "\(result.errorOutput)")
      #expect(result.outputLines == Array(repeating: "ok", count: ranks))
    }

    @Test("a rank 0 that has no place for results hears all the same", arguments: [0, 1])
    func full(rank: Int) throws {
      let job = try StoppedJob(ranks: 2, count: 100, seconds: 0.05, options: ["full"])
      usleep(300_000)
      try job.signal(SIGTERM, rank: rank)
      let (status, line, seconds) = try job.end()
      #expect(status == 0)
      #expect(line == "SIGTERM 0")
      #expect(seconds < 1)
    }

    @Test("rank 0 waits half a second for a rank that does not answer")
    func frozen() throws {
      let job = try StoppedJob(ranks: 2, count: 10, seconds: 100)
      try job.signal(SIGSTOP, rank: 1)
      let start = ContinuousClock.now
      try job.signal(SIGTERM, rank: 0)
      while job.line == nil && ContinuousClock.now - start < .seconds(3) { usleep(1000) }
      #expect(job.line == "SIGTERM 0")
      #expect(ContinuousClock.now - start < .milliseconds(900))
      try job.signal(SIGCONT, rank: 1)
      #expect(try job.end().status == 0)
    }
  }
}

/// A running `stopped-job`.
private struct StoppedJob {
  private let folder: TemporaryFolder
  private let running: RunningProcess

  /// Starts one and waits until every rank has begun a unit.
  init(ranks: Int, count: Int, seconds: Double, options: [String] = []) throws {
    folder = try TemporaryFolder()
    running = try MPIProgram("stopped-job").start(
      ranks: ranks, arguments: [folder.path, "\(count)", "\(seconds)"] + options)
    let start = ContinuousClock.now
    for rank in 0..<ranks {
      while contents("rank-\(rank)") == nil {
        try #require(ContinuousClock.now - start < .seconds(20), "rank \(rank) begins nothing")
        usleep(1000)
      }
    }
  }

  /// What rank 0 left after the stop: the signal and the number of results.
  var line: String? { contents("stopped") }

  func signal(_ number: Int32, rank: Int) throws {
    kill(try #require(contents("rank-\(rank)").flatMap { Int32($0) }), number)
  }

  /// Waits for the end: mpirun's status, rank 0's line, and the seconds it took.
  func end() throws -> (status: Int32, line: String?, seconds: Double) {
    let start = ContinuousClock.now
    let result = running.result(timeoutSeconds: 30)
    let duration = (ContinuousClock.now - start) / .seconds(1)
    #expect(result.outputLines.allSatisfy { $0 == "ok" }, "\(result.errorOutput)")
    return (result.status, line, duration)
  }

  private func contents(_ name: String) -> String? {
    try? String(contentsOfFile: folder.file(name), encoding: .utf8)
  }
}
