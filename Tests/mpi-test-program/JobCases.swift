import Foundation
import MPI
import Scheduling

/// Units that take the time they are told, and nothing else.
struct SleepingWork: UnitWork {
  /// Seconds of each unit.
  let seconds: [Double]
  /// Called when a rank begins a unit.
  var onBegin: @Sendable (Int) -> Void = { _ in }

  func load(_ unit: Int, group: RankGroup) throws -> Int { unit }

  func compute(_ unit: Int, _ loaded: Int, group: RankGroup) throws -> [UInt8] {
    onBegin(unit)
    if group.memberCount == 1 {
      Thread.sleep(forTimeInterval: seconds[unit])
    } else {
      // The leader sends more than leaves by itself, to members that are late to take it.
      if !group.isLeader { Thread.sleep(forTimeInterval: seconds[unit]) }
      for member in 0..<group.memberCount where member != group.memberIndex {
        _ = group.exchange(pattern(1_000_000, seed: unit), with: member)
      }
    }
    return [UInt8(truncatingIfNeeded: unit)]
  }
}

/// `stopped-job FOLDER COUNT SECONDS [team]`: does COUNT sleeping units until a signal comes.
///
/// Each rank leaves its process number in the folder when it begins its first unit, and rank 0 the number of results
/// when the job was stopped.
func stoppedJob(_ world: borrowing Communicator) throws {
  let arguments = CommandLine.arguments
  let folder = URL(filePath: arguments[2])
  let (count, seconds) = (Int(arguments[3]) ?? 0, Double(arguments[4]) ?? 0)
  StopSignals.catchAll(isAlone: false)
  let pidFile = folder.appending(path: "rank-\(world.rank)")
  let work = SleepingWork(seconds: Array(repeating: seconds, count: count)) { _ in
    try? Data("\(getpid())".utf8).write(to: pidFile, options: .atomic)
  }
  let teams = arguments.last == "team" ? [Team(unit: 0, ranks: 0..<2)] : []
  var collected = 0
  do {
    _ = try DistributedJob(work, costs: Array(repeating: 1, count: count), teams: teams).run(on: world) {
      _, _ in collected += 1
    }
    throw CaseFailure("the job came to its end")
  } catch let stop as JobStopped {
    if world.rank == 0 {
      let line = "\(stop.signalName) \(collected)"
      try Data(line.utf8).write(to: folder.appending(path: "stopped"), options: .atomic)
    }
  }
}
