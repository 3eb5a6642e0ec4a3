internal import Foundation
public import MPI

/// Runs units of work over all ranks, each once, and hands every result to rank 0.
///
/// Rank 0's main thread gives out units and receives results while its own threads compute like any other
/// rank's. Messages are two-sided, since one-sided communication between hosts fails on stock Open MPI over
/// TCP; every rank holds a unit ahead, so that no answer is waited for. Units of teams come first; their ranks
/// exchange partial sums through their main threads and go over to the common queue one by one.
public struct DistributedJob<Work: UnitWork> {
  private let work: Work
  private let costs: [Double]
  private let teams: [Team]
  private let finished: Set<Int>
  private let threadCount: Int

  /// A job of units in the order in which they are to be given out, some of them to teams.
  ///
  /// - Parameters:
  ///   - work: What is done with a unit.
  ///   - costs: What each unit takes, in any measure; there are as many units.
  ///   - teams: The units that several ranks share.
  ///   - finished: Units that an earlier run has done.
  ///   - threadCount: What the work uses of this rank's processors, for the statistics.
  public init(
    _ work: Work, costs: [Double], teams: [Team] = [], finished: Set<Int> = [], threadCount: Int = 1
  ) {
    self.work = work
    self.costs = costs
    self.teams = teams.filter { !finished.contains($0.unit) }
    self.finished = finished
    self.threadCount = threadCount
  }

  /// Collective: does all the work.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - collect: Called on rank 0 for each unit, in the order of arrival, with the bytes that
  ///     `UnitWork.compute` returned. An error it throws ends the job.
  /// - Returns: On rank 0 the statistics of every rank; elsewhere nothing.
  /// - Throws: On rank 0, the first error of any rank as a `JobFailure`. Other ranks wait to be ended.
  public func run(on world: borrowing Communicator, collect: (Int, [UInt8]) throws -> Void) throws
    -> [RankStatistics]
  {
    var rank = JobRank(work, threadCount: threadCount)
    let start = secondsNow()
    if world.rank == 0 {
      return try coordinate(world, &rank, start: start, collect)
    }
    try serve(world, &rank, start: start)
    return []
  }

  private func coordinate(
    _ world: borrowing Communicator, _ own: inout JobRank<Work>, start: Double,
    _ collect: (Int, [UInt8]) throws -> Void
  ) throws -> [RankStatistics] {
    var dispatcher = Dispatcher(costs: costs, rankCount: world.size, teams: teams, finished: finished)
    while !dispatcher.isDone {
      try handOut(&dispatcher, &own, world)
      for outcome in own.takeOutcomes() {
        switch outcome {
        case .failed(let error): throw JobFailure(error, mpiRank: 0)
        case .finished(let unit, let isLeader, let bytes):
          if isLeader { try collect(unit, bytes) }
          dispatcher.finish(onRank: 0)
        }
      }
      if let (envelope, bytes) = try own.receive(world) {
        switch envelope.tag {
        case JobTag.failure: throw try JSONDecoder().decode(JobFailure.self, from: Data(bytes))
        case JobTag.result:
          try collect(UnitNumber.decode(bytes), Array(bytes.dropFirst(UnitNumber.byteCount)))
        default: precondition(envelope.tag == JobTag.part, "unexpected message tag \(envelope.tag)")
        }
        dispatcher.finish(onRank: envelope.source)
      }
      try own.progress(world)
    }
    return try dismissRanks(world, &own, start: start)
  }

  /// Gives each rank one unit after the other, in turns, as long as any should have one more.
  private func handOut(
    _ dispatcher: inout Dispatcher, _ own: inout JobRank<Work>, _ world: borrowing Communicator
  ) throws {
    var isAnyGiven = true
    while isAnyGiven {
      isAnyGiven = false
      for rank in 0..<world.size {
        guard let team = dispatcher.next(for: rank) else { continue }
        isAnyGiven = true
        if rank == 0 {
          own.submit(team, rank: 0)
        } else {
          own.outbox.add(try world.send(team.encoded, to: rank, tag: JobTag.unit))
        }
      }
    }
  }

  private func dismissRanks(
    _ world: borrowing Communicator, _ own: inout JobRank<Work>, start: Double
  ) throws -> [RankStatistics] {
    var statistics = [own.close(mpiRank: 0, since: start)]
    for rank in 1..<max(1, world.size) {
      own.outbox.add(try world.send([], to: rank, tag: JobTag.stop))
    }
    while statistics.count < world.size {
      if let (_, bytes) = try own.receive(world) {
        statistics.append(try JSONDecoder().decode(RankStatistics.self, from: Data(bytes)))
      }
      try own.progress(world)
    }
    try own.outbox.drain()
    return statistics.sorted { $0.mpiRank < $1.mpiRank }
  }

  private func serve(_ world: borrowing Communicator, _ own: inout JobRank<Work>, start: Double) throws {
    while true {
      if let (envelope, bytes) = try own.receive(world) {
        if envelope.tag == JobTag.stop { break }
        own.submit(Team(decoding: bytes), rank: world.rank)
      }
      for outcome in own.takeOutcomes() {
        switch outcome {
        case .finished(let unit, let isLeader, let bytes):
          own.outbox.add(
            isLeader
              ? try world.send(UnitNumber.encode(unit) + bytes, to: 0, tag: JobTag.result)
              : try world.send([], to: 0, tag: JobTag.part))
        case .failed(let error):
          // Rank 0 reports it and ends the job, this rank included; until then the message needs progress.
          let failure = JobFailure(error, mpiRank: world.rank)
          own.outbox.add(try world.send(Array(JSONEncoder().encode(failure)), to: 0, tag: JobTag.failure))
        }
      }
      try own.progress(world)
    }
    let statistics = own.close(mpiRank: world.rank, since: start)
    own.outbox.add(try world.send(Array(JSONEncoder().encode(statistics)), to: 0, tag: JobTag.statistics))
    try own.outbox.drain()
  }
}
