internal import MPI

/// How rank 0 ends a job that is asked to stop.
///
/// A rank that sees a signal stops by itself and tells rank 0, which tells all. Each rank finishes or drops what it
/// has in work, hands in what is finished and says that it is still; once all are, or the time is up, rank 0 lets
/// them go.
extension DistributedJob {
  /// Lets every rank finish or drop what it has in work, if that is news.
  func haltAll(_ request: StopRequest, _ own: inout JobRank<Work>, _ world: borrowing Communicator) throws {
    guard own.halt(request) else { return }
    for rank in 1..<max(1, world.size) {
      own.outbox.add(try world.send(request.encoded, to: rank, tag: JobTag.halt))
    }
  }

  /// Ends the job once all ranks are still, or the time is up; a first wait that was too long becomes a short one.
  ///
  /// - Throws: `JobStopped` at the end.
  func endIfStill(_ own: inout JobRank<Work>, _ world: borrowing Communicator) throws {
    guard let request = own.stop.request else { return }
    if !(own.isStill && own.stop.stillCount == world.size - 1) {
      guard own.stop.isOverdue else { return }
      guard request.isUrgent else {
        return try haltAll(StopRequest(signal: request.signal, isUrgent: true), &own, world)
      }
    }
    for rank in 1..<max(1, world.size) {
      own.outbox.add(try world.send([], to: rank, tag: JobTag.over))
    }
    try own.abandonMessages()
    throw JobStopped(request)
  }
}
