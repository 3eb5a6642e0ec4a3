internal import MPI

/// One rank's part in a job: its pipeline, its messages on their way, and the patience of its main thread.
struct JobRank<Work: UnitWork>: ~Copyable {
  var outbox = Outbox()
  /// Partial sums inside teams, whose receivers may have dropped the unit when the job is stopped.
  private var exchanges = Outbox()
  private let threadCount: Int
  private let pipeline: RankPipeline<Work>
  private let mailbox = ExchangeMailbox()
  private var pause = PollingPause()
  private var wasIdle = true
  private var teamUnits: Set<Int> = []
  var stop = JobStop()

  /// Starts the rank's threads.
  init(_ work: Work, threadCount: Int) {
    self.threadCount = threadCount
    pipeline = RankPipeline(work)
    pipeline.start()
  }

  mutating func submit(_ team: Team, rank: Int) {
    wasIdle = false
    if team.ranks.count > 1 { teamUnits.insert(team.unit) }
    pipeline.submit(team.unit, group: RankGroup(ranks: team.ranks, rank: rank, mailbox: mailbox))
  }

  mutating func takeOutcomes() -> [RankPipeline<Work>.Outcome] {
    let outcomes = pipeline.takeOutcomes()
    for case .finished(let unit, _, _) in outcomes { teamUnits.remove(unit) }
    if !outcomes.isEmpty { wasIdle = false }
    return outcomes
  }

  /// The next message that is not an exchange inside a team, if one has arrived.
  mutating func receive(_ world: borrowing Communicator) throws -> (Envelope, [UInt8])? {
    while let envelope = try world.arrived() {
      wasIdle = false
      let bytes = try world.receive(envelope)
      guard envelope.tag == JobTag.exchange else { return (envelope, bytes) }
      mailbox.deliver(bytes, from: envelope.source)
    }
    return nil
  }

  /// Sends what is to be sent, and rests if nothing has happened since the last call.
  mutating func progress(_ world: borrowing Communicator) throws {
    for (rank, bytes) in mailbox.takeOutgoing() {
      exchanges.add(try world.send(bytes, to: rank, tag: JobTag.exchange))
    }
    try outbox.progress()
    try exchanges.progress()
    // A team's member that waits stands still, and its core with it: the main thread may have it, without a nap.
    if !wasIdle || mailbox.isAwaited { pause.reset() }
    if wasIdle { pause.rest(isShort: !teamUnits.isEmpty) }
    wasIdle = true
  }

  /// Begins nothing any more, and finishes or drops what is in work.
  ///
  /// - Returns: Whether the request asks for more than what was under way.
  @discardableResult
  mutating func halt(_ request: StopRequest) -> Bool {
    guard stop.begin(request) else { return false }
    pipeline.halt(request)
    return true
  }

  /// Whether a halted rank has nothing more to hand in.
  var isStill: Bool { pipeline.isStill }

  /// True once: when a halted rank has nothing more to hand in.
  mutating func becomesStill() -> Bool { isStill && stop.shouldSayStill() }

  /// Gives the last messages a moment to leave, and gives up those that nobody takes.
  mutating func abandonMessages() throws {
    let start = secondsNow()
    while !outbox.isEmpty && secondsNow() - start < 0.1 { try outbox.progress() }
    outbox.abandon()
    exchanges.abandon()
  }

  /// Waits until every message has left.
  mutating func drain() throws {
    try outbox.drain()
    try exchanges.drain()
  }

  /// Ends the threads and tells how they spent their time.
  func close(mpiRank: Int, since start: Double) -> RankStatistics {
    RankStatistics(
      mpiRank: mpiRank, times: pipeline.close(), traffic: mailbox.total, threadCount: threadCount,
      since: start)
  }
}
