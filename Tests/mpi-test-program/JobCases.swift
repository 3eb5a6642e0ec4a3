import Foundation
import MPI
import Scheduling

/// Units that take the time they are told, and nothing else: their waiting is the job's alone.
struct SleepingWork: UnitWork {
  /// Seconds of each unit.
  let seconds: [Double]
  /// Called when a rank begins a unit.
  var onBegin: @Sendable () -> Void = {}

  func load(_ unit: Int, group: RankGroup) throws -> Int { unit }

  func compute(_ unit: Int, _ loaded: Int, group: RankGroup) throws -> [UInt8] {
    onBegin()
    // A team's leader sends at once what its members are late to take, and too long to leave by itself.
    if group.memberCount == 1 || !group.isLeader { Thread.sleep(forTimeInterval: seconds[unit]) }
    for member in 0..<group.memberCount where member != group.memberIndex {
      _ = group.exchange(pattern(1_000_000, seed: unit), with: member)
    }
    return pattern(unit, seed: unit)
  }
}

/// `sleeping-job OPTIONS`, a JSON object: does sleeping units; rank 0 prints what came of it, as JSON.
func sleepingJob(_ world: borrowing Communicator) throws {
  let text = CommandLine.arguments[2]
  let options = try JSONDecoder().decode(SleepingJob.self, from: Data(text.utf8))
  let factor = options.slowRanks.contains(world.rank) ? 2.0 : 1.0
  let work = SleepingWork(seconds: options.seconds.map { $0 * factor })
  let units = options.seconds.enumerated().map {
    JobUnit(cost: $1, path: "file \($0 % 4)", offset: $0, byteCount: 1000)
  }
  let job = DistributedJob(
    work, units: units, teams: options.teams, finished: Set(options.finished),
    headCoordinates: options.headCoordinates)
  // More than once: nothing of one job may be left on the way in the next.
  for _ in 0..<options.rounds {
    var collected: [Int] = []
    try world.barrier()
    let start = ContinuousClock.now
    let ranks = try job.run(on: world) { unit, bytes in
      guard bytes == pattern(unit, seed: unit) else { throw CaseFailure("unit \(unit) came out different") }
      collected.append(unit)
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    if world.rank == 0 {
      let outcome = SleepingJob.Outcome(seconds: seconds, collected: collected, ranks: ranks)
      print(String(decoding: try JSONEncoder().encode(outcome), as: UTF8.self))
    }
  }
}

/// What a `sleeping-job` is told and tells.
struct SleepingJob: Codable {
  /// One number a unit.
  var seconds: [Double]
  /// Ranks that take twice as long.
  var slowRanks: [Int] = []
  var teams: [Team] = []
  var finished: [Int] = []
  var headCoordinates = false
  /// How many such jobs, one after the other.
  var rounds = 2

  struct Outcome: Codable {
    var seconds: Double
    var collected: [Int]
    var ranks: [RankStatistics]
  }
}

/// `stopped-job FOLDER COUNT SECONDS [team|full]`: does COUNT sleeping units until a signal comes.
///
/// Each rank leaves its process number in the folder when it begins its first unit, and rank 0 the number of results
/// when the job was stopped. With `full`, rank 0 has no place for any.
func stoppedJob(_ world: borrowing Communicator) throws {
  let arguments = CommandLine.arguments
  let folder = URL(filePath: arguments[2])
  let (count, seconds) = (Int(arguments[3]) ?? 0, Double(arguments[4]) ?? 0)
  StopSignals.catchAll(isAlone: false)
  let pidFile = folder.appending(path: "rank-\(world.rank)")
  let work = SleepingWork(seconds: Array(repeating: seconds, count: count)) {
    try? Data("\(getpid())".utf8).write(to: pidFile, options: .atomic)
  }
  let units = (0..<count).map { JobUnit(cost: 1, path: "file", offset: $0, byteCount: 1) }
  let teams = arguments.last == "team" ? [Team(unit: 0, ranks: 0..<2)] : []
  var collectedCount = 0
  do {
    let isFull = arguments.last == "full"
    _ = try DistributedJob(work, units: units, teams: teams).run(on: world, canCollect: { !isFull }) { _, _ in
      collectedCount += 1
    }
    throw CaseFailure("the job came to its end")
  } catch let stop as JobStopped {
    if world.rank == 0 {
      let line = "\(stop.signalName) \(collectedCount)"
      try Data(line.utf8).write(to: folder.appending(path: "stopped"), options: .atomic)
    }
  }
}

/// `late-stop`: the last rank gets SIGTERM while rank 0 is held up with the last result, and leaves by itself.
///
/// Every rank must leave all the same, and rank 0 must have every result.
func lateStop(_ world: borrowing Communicator) throws {
  StopSignals.catchAll(isAlone: false)
  let processes = try world.allGather(Array("\(getpid())".utf8)).map {
    Int32(String(decoding: $0, as: UTF8.self)) ?? 0
  }
  let count = 3 * world.size
  let units = (0..<count).map { JobUnit(cost: 1, path: "file", offset: $0, byteCount: 1) }
  var collectedCount = 0
  do {
    let work = SleepingWork(seconds: Array(repeating: 0.01, count: count))
    _ = try DistributedJob(work, units: units).run(on: world) { _, _ in
      collectedCount += 1
      if collectedCount == count {
        kill(processes[world.size - 1], SIGTERM)
        Thread.sleep(forTimeInterval: 1)
      }
    }
    throw CaseFailure("the job came to its end")
  } catch is JobStopped {
    try expectEqual(collectedCount, world.rank == 0 ? count : 0, "results")
  }
}

/// Units that yield a megabyte at once, which begins with the time.
private struct StampingWork: UnitWork {
  static let byteCount = 1_000_000

  func load(_ unit: Int, group: RankGroup) throws -> Int { unit }

  func compute(_ unit: Int, _ loaded: Int, group: RankGroup) throws -> [UInt8] {
    let stamp = Array("\(DispatchTime.now().uptimeNanoseconds) ".utf8)
    return stamp + pattern(Self.byteCount, seed: unit)
  }

  static func time(_ bytes: [UInt8]) -> UInt64 {
    UInt64(String(decoding: bytes.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)) ?? 0
  }
}

/// `backed-up-job`: rank 0 has no place for results at first; prints how many were computed meanwhile, and how many
/// in all.
func backedUpJob(_ world: borrowing Communicator) throws {
  let units = (0..<200).map { JobUnit(cost: 1, path: "file", offset: $0, byteCount: 1) }
  let job = DistributedJob(StampingWork(), units: units, largestBacklog: 4 * StampingWork.byteCount)
  let opening = DispatchTime.now() + 1
  var times: [UInt64] = []
  _ = try job.run(on: world, canCollect: { DispatchTime.now() > opening }) { _, bytes in
    times.append(StampingWork.time(bytes))
  }
  if world.rank == 0 { print(times.filter { $0 < opening.uptimeNanoseconds }.count, times.count) }
}
