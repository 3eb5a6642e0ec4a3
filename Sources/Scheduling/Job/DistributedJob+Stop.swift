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

  /// On rank 0: ends the job once all ranks are still, or the time is up.
  ///
  /// - Throws: `JobStopped` at the end.
  func endIfStill(_ own: inout JobRank<Work>, _ world: borrowing Communicator) throws {
    if let request = own.stop.request, own.isStill && own.stop.stillCount == world.size - 1 {
      try end(request, &own, world)
    }
    try endIfOverdue(&own, world)
  }

  /// On rank 0: ends the job if the time is up; a long wait is followed by a short one.
  ///
  /// - Throws: `JobStopped` at the end.
  func endIfOverdue(_ own: inout JobRank<Work>, _ world: borrowing Communicator) throws {
    guard let request = own.stop.request, own.stop.isOverdue else { return }
    if request.isUrgent { try end(request, &own, world) }
    try haltAll(StopRequest(signal: request.signal, isUrgent: true), &own, world)
  }

  private func end(
    _ request: StopRequest, _ own: inout JobRank<Work>, _ world: borrowing Communicator
  ) throws -> Never {
    try own.sendToAll(request.encoded, tag: JobTag.over, world)
    try leave(request, &own)
  }

  /// On other ranks: says once that nothing is in work any longer, and leaves without a word from rank 0 if there
  /// is no time to wait for it.
  ///
  /// - Throws: `JobStopped` at the end.
  func leaveIfForgotten(
    _ request: StopRequest, _ own: inout JobRank<Work>, _ world: borrowing Communicator
  ) throws {
    if own.becomesStill() { try own.send([], to: 0, tag: JobTag.still, world) }
    if request.isUrgent && own.stop.isOverdue { try leave(request, &own) }
  }

  /// Leaves a job that is stopped.
  ///
  /// - Throws: `JobStopped`.
  func leave(_ request: StopRequest, _ own: inout JobRank<Work>) throws -> Never {
    try own.abandonMessages()
    throw JobStopped(request)
  }
}
