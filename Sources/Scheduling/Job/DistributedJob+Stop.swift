internal import MPI

/// How a job that is asked to stop comes to its end.
///
/// A rank that sees a signal stops by itself and tells rank 0, which tells all. Each rank finishes or drops what it
/// has in work, hands in what is finished and says that it is still; once all are, or the time is up, rank 0 lets
/// them go.
extension DistributedJob {
  /// On rank 0: lets every rank finish or drop what it has in work, if that is news.
  func haltAll(_ request: StopRequest, _ own: inout JobRank<Work>, _ world: borrowing Communicator) throws {
    if own.halt(request) { try own.sendToAll(request.encoded, tag: JobTag.halt, world) }
  }

  /// On rank 0: ends the job once all ranks are still, or the time is up; a long wait is followed by a short one.
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
    try own.sendToAll([], tag: JobTag.over, world)
    try own.abandonMessages()
    throw JobStopped(request)
  }

  /// On other ranks: says once that nothing is in work any longer, and leaves when rank 0 says so.
  ///
  /// - Throws: `JobStopped` at the end.
  func leaveIfOver(_ request: StopRequest, _ own: inout JobRank<Work>, _ world: borrowing Communicator) throws
  {
    if own.becomesStill() { try own.send([], to: 0, tag: JobTag.still, world) }
    guard own.stop.isOver else { return }
    try own.abandonMessages()
    throw JobStopped(request)
  }
}
