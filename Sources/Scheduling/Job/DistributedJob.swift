internal import Foundation
public import MPI

/// Runs units of work over all ranks, each once, and hands every result to rank 0.
///
/// Every rank has a share of the units, which it computes from the plan; one that is done takes units from the
/// others: on its own node through shared memory, from other nodes by messages that their main threads answer, since
/// one-sided communication between hosts fails on stock Open MPI over TCP. Units of teams come first; their ranks
/// exchange partial sums through their main threads. Rank 0 receives results, and ends the job when it has all.
public struct DistributedJob<Work: UnitWork> {
  private let work: Work
  private let units: [JobUnit]
  private let teams: [Team]
  private let finished: Set<Int>
  private let headCoordinates: Bool
  private let threadCount: Int
  private let largestBacklog: Int

  /// A job of units, which must be the same on every rank.
  ///
  /// - Parameters:
  ///   - work: What is done with a unit.
  ///   - units: In the order in which a rank would do them: the dearest first.
  ///   - teams: The units that several ranks share.
  ///   - finished: Units that need not be done.
  ///   - headCoordinates: Whether rank 0 computes nothing; there must be another rank then, and teams without it.
  ///   - threadCount: What the work uses of this rank's processors, for the statistics.
  ///   - largestBacklog: Bytes of results that a rank may have on their way; beyond that it begins nothing new.
  public init(
    _ work: Work, units: [JobUnit], teams: [Team] = [], finished: Set<Int> = [],
    headCoordinates: Bool = false, threadCount: Int = 1, largestBacklog: Int = 256 << 20
  ) {
    precondition(!headCoordinates || teams.allSatisfy { !$0.ranks.contains(0) }, "rank 0 only coordinates")
    self.work = work
    self.units = units
    self.teams = teams
    self.finished = finished
    self.headCoordinates = headCoordinates
    self.threadCount = threadCount
    self.largestBacklog = largestBacklog
  }

  /// Collective: does all the work.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - canCollect: Called on rank 0: whether there is a place for results now. Where there is none they stay on
  ///     the ranks, which soon compute nothing more, while everything else goes on.
  ///   - collect: Called on rank 0 for each unit, in the order of arrival, with the bytes that
  ///     `UnitWork.compute` returned. An error it throws ends the job.
  /// - Returns: On rank 0 the statistics of every rank; elsewhere nothing.
  /// - Throws: On rank 0, the first error of any rank as a `JobFailure`; other ranks wait to be ended. On every
  ///   rank `JobStopped` if a signal asked for it, when all that was finished in time has been collected.
  public func run(
    on world: borrowing Communicator, canCollect: () -> Bool = { true },
    collect: (Int, [UInt8]) throws -> Void
  ) throws -> [RankStatistics] {
    precondition(!headCoordinates || world.size > 1, "rank 0 coordinates nobody")
    StopSignals.exitAtOnce(false)
    let (places, words) = try RankPlaces.find(on: world)
    let shares = Shares(
      units, nodeOfRank: places.nodeOfRank, teams: teams, finished: finished,
      idleRank: headCoordinates ? 0 : nil)
    let supply = WorkSupply(
      rank: world.rank, units: units, shares: shares, places: places, words: words,
      isWorking: !headCoordinates || world.rank > 0)
    var rank = JobRank(work, rank: world.rank, units: units, supply: supply, largestBacklog: largestBacklog)
    let statistics: [RankStatistics]
    do {
      statistics =
        world.rank == 0
        ? try coordinate(world, &rank, partCount: shares.partCount, canCollect, collect)
        : try serve(world, &rank)
    } catch let stop as JobStopped {
      stop.boundEnd()
      throw stop
    } catch {
      StopSignals.exitAtOnce(true)
      throw error
    }
    StopSignals.exitAtOnce(true)
    try words.free()
    return statistics
  }

  private func coordinate(
    _ world: borrowing Communicator, _ own: inout JobRank<Work>, partCount: Int,
    _ canCollect: () -> Bool, _ collect: (Int, [UInt8]) throws -> Void
  ) throws -> [RankStatistics] {
    var missingCount = partCount
    while missingCount > 0 {
      own.isFull = !canCollect()
      try own.progress(world)
      if let request = own.stop.news() { try haltAll(request, &own, world) }
      for outcome in own.takeOutcomes() {
        switch outcome {
        case .failed(let error): throw JobFailure(error, mpiRank: 0)
        case .finished(let unit, let isLeader, let bytes):
          if isLeader { try collect(unit, bytes) }
          missingCount -= 1
        }
      }
      if let (envelope, bytes) = try own.receive(world) {
        switch envelope.tag {
        case JobTag.failure: throw try JSONDecoder().decode(JobFailure.self, from: Data(bytes))
        case JobTag.halt: try haltAll(StopRequest(decoding: bytes), &own, world)
        case JobTag.still: own.stop.noteStill()
        case JobTag.result:
          try collect(UnitNumber.decode(bytes), Array(bytes.dropFirst(UnitNumber.byteCount)))
          missingCount -= 1
        default:
          precondition(envelope.tag == JobTag.part, "unexpected message tag \(envelope.tag)")
          missingCount -= 1
        }
      }
      if own.stop.request != nil && missingCount > 0 { try endIfStill(&own, world) }
    }
    return try dismissRanks(world, &own)
  }

  /// Ends the job in two steps: once all statistics are there, nobody waits for another's answer any more.
  ///
  /// A signal that came too late to stop anything is answered by the end, unless a rank that got it has left by
  /// itself: then the job is stopped, with everything collected.
  private func dismissRanks(_ world: borrowing Communicator, _ own: inout JobRank<Work>) throws
    -> [RankStatistics]
  {
    own.isFull = false
    own.takeNoMore()
    var statistics = [own.close(threadCount: threadCount)]
    try own.sendToAll([], tag: JobTag.end, world)
    while statistics.count < world.size || own.isAsking {
      if let (envelope, bytes) = try own.receive(world) {
        switch envelope.tag {
        case JobTag.statistics:
          statistics.append(try JSONDecoder().decode(RankStatistics.self, from: Data(bytes)))
        case JobTag.halt: try haltAll(StopRequest(decoding: bytes), &own, world)
        default: precondition(envelope.tag == JobTag.still, "unexpected message tag \(envelope.tag)")
        }
      }
      if let request = own.stop.news() { try haltAll(request, &own, world) }
      try endIfOverdue(&own, world)
      try own.progress(world)
    }
    try own.sendToAll([], tag: JobTag.over, world)
    try own.drain()
    return statistics.sorted { $0.mpiRank < $1.mpiRank }
  }

  private func serve(_ world: borrowing Communicator, _ own: inout JobRank<Work>) throws -> [RankStatistics] {
    var isEnding = false
    var hasReported = false
    while true {
      try own.progress(world)
      if let (envelope, bytes) = try own.receive(world) {
        switch envelope.tag {
        case JobTag.end:
          isEnding = true
          own.takeNoMore()
        case JobTag.over where bytes.isEmpty:
          precondition(hasReported && !own.isAsking, "the job is over before this rank was at its end")
          try own.drain()
          return []
        case JobTag.over: try leave(StopRequest(decoding: bytes), &own)
        default:
          precondition(envelope.tag == JobTag.halt, "unexpected message tag \(envelope.tag)")
          own.halt(StopRequest(decoding: bytes))
        }
      }
      // Later ones are the next job's.
      if !hasReported, let request = own.stop.news(), own.halt(request) {
        try own.send(request.encoded, to: 0, tag: JobTag.halt, world)
      }
      try handIn(&own, world)
      if isEnding && !own.isAsking && !hasReported {
        hasReported = true
        let statistics = try JSONEncoder().encode(own.close(threadCount: threadCount))
        try own.send(Array(statistics), to: 0, tag: JobTag.statistics, world)
      }
      if let request = own.stop.request, !isEnding { try leaveIfForgotten(request, &own, world) }
    }
  }

  /// Sends what has been computed, or what went wrong, to rank 0.
  private func handIn(_ own: inout JobRank<Work>, _ world: borrowing Communicator) throws {
    for outcome in own.takeOutcomes() {
      switch outcome {
      case .finished(let unit, true, let bytes):
        try own.send(UnitNumber.encode(unit) + bytes, to: 0, tag: JobTag.result, world)
      case .finished:
        try own.send([], to: 0, tag: JobTag.part, world)
      case .failed(let error):
        // Rank 0 reports it and ends the job, this rank included; until then the message needs progress.
        let failure = JobFailure(error, mpiRank: world.rank)
        try own.send(Array(JSONEncoder().encode(failure)), to: 0, tag: JobTag.failure, world)
      }
    }
  }
}
