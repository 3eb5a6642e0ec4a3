internal import Foundation
public import MPI

/// Runs units of work over all ranks, each once, and hands every result to rank 0.
///
/// Rank 0's main thread gives out units and receives results while its own threads compute like any other
/// rank's. Messages are two-sided, since one-sided communication between hosts fails on stock Open MPI over
/// TCP; every rank holds a unit ahead, so that no answer is waited for.
public struct DistributedJob<Work: UnitWork> {
  private let work: Work
  private let unitCount: Int

  /// A job of units numbered from 0 in the order in which they are to be given out.
  public init(_ work: Work, unitCount: Int) {
    self.work = work
    self.unitCount = unitCount
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
    let pipeline = RankPipeline(work)
    pipeline.start()
    let start = secondsNow()
    if world.rank == 0 {
      return try coordinate(world, pipeline, start: start, collect)
    }
    try serve(world, pipeline, start: start)
    return []
  }
}

/// Message tags of a job.
enum JobTag {
  /// To a rank: the number of a unit to do.
  static let unit = 1
  /// To a rank: no more units; answer with statistics.
  static let stop = 2
  /// From a rank: a unit's number and its result.
  static let result = 3
  /// From a rank: an error.
  static let failure = 4
  /// From a rank: its statistics.
  static let statistics = 5
}

extension DistributedJob {
  private func coordinate(
    _ world: borrowing Communicator, _ pipeline: RankPipeline<Work>, start: Double,
    _ collect: (Int, [UInt8]) throws -> Void
  ) throws -> [RankStatistics] {
    var dispatcher = Dispatcher(unitCount: unitCount, rankCount: world.size)
    var outbox = Outbox()
    var pause = PollingPause()
    while !dispatcher.isDone {
      for rank in 0..<world.size {
        while let unit = dispatcher.nextUnit(for: rank) {
          if rank == 0 {
            pipeline.submit(unit)
          } else {
            outbox.add(try world.send(UnitNumber.encode(unit), to: rank, tag: JobTag.unit))
          }
        }
      }
      var wasIdle = true
      for outcome in pipeline.takeOutcomes() {
        wasIdle = false
        switch outcome {
        case .failed(let error): throw JobFailure(error, mpiRank: 0)
        case .finished(let unit, let bytes):
          try collect(unit, bytes)
          dispatcher.finish(onRank: 0)
        }
      }
      if let envelope = try world.arrived() {
        wasIdle = false
        try receive(envelope, world, &dispatcher, collect)
      }
      try outbox.progress()
      if wasIdle { pause.rest() } else { pause.reset() }
    }
    return try dismissRanks(world, pipeline, &outbox, start: start)
  }

  private func receive(
    _ envelope: Envelope, _ world: borrowing Communicator, _ dispatcher: inout Dispatcher,
    _ collect: (Int, [UInt8]) throws -> Void
  ) throws {
    let bytes = try world.receive(envelope)
    if envelope.tag == JobTag.failure {
      throw try JSONDecoder().decode(JobFailure.self, from: Data(bytes))
    }
    precondition(envelope.tag == JobTag.result, "unexpected message tag \(envelope.tag)")
    try collect(UnitNumber.decode(bytes), Array(bytes.dropFirst(UnitNumber.byteCount)))
    dispatcher.finish(onRank: envelope.source)
  }

  private func dismissRanks(
    _ world: borrowing Communicator, _ pipeline: RankPipeline<Work>, _ outbox: inout Outbox, start: Double
  ) throws -> [RankStatistics] {
    var statistics = [RankStatistics(mpiRank: 0, times: pipeline.close(), since: start)]
    for rank in 1..<max(1, world.size) {
      outbox.add(try world.send([], to: rank, tag: JobTag.stop))
    }
    var pause = PollingPause()
    while statistics.count < world.size {
      if let envelope = try world.arrived() {
        let bytes = try world.receive(envelope)
        statistics.append(try JSONDecoder().decode(RankStatistics.self, from: Data(bytes)))
      } else {
        pause.rest()
      }
      try outbox.progress()
    }
    try outbox.drain()
    return statistics.sorted { $0.mpiRank < $1.mpiRank }
  }

  private func serve(_ world: borrowing Communicator, _ pipeline: RankPipeline<Work>, start: Double) throws {
    var outbox = Outbox()
    var pause = PollingPause()
    while true {
      var wasIdle = true
      if let envelope = try world.arrived() {
        wasIdle = false
        let bytes = try world.receive(envelope)
        if envelope.tag == JobTag.stop { break }
        pipeline.submit(UnitNumber.decode(bytes))
      }
      for outcome in pipeline.takeOutcomes() {
        wasIdle = false
        switch outcome {
        case .finished(let unit, let bytes):
          outbox.add(try world.send(UnitNumber.encode(unit) + bytes, to: 0, tag: JobTag.result))
        case .failed(let error):
          // Rank 0 reports it and ends the job, this rank included; until then the message needs progress.
          let failure = JobFailure(error, mpiRank: world.rank)
          outbox.add(try world.send(Array(JSONEncoder().encode(failure)), to: 0, tag: JobTag.failure))
        }
      }
      try outbox.progress()
      if wasIdle { pause.rest() } else { pause.reset() }
    }
    let statistics = RankStatistics(mpiRank: world.rank, times: pipeline.close(), since: start)
    outbox.add(try world.send(Array(JSONEncoder().encode(statistics)), to: 0, tag: JobTag.statistics))
    try outbox.drain()
  }
}
