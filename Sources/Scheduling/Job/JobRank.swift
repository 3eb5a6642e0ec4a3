internal import MPI

/// One rank's part in a job: its supply, its pipeline, its messages on their way, and the patience of its main thread.
struct JobRank<Work: UnitWork>: ~Copyable {
  var stop = JobStop()
  private let rank: Int
  private let units: [JobUnit]
  private let start = secondsNow()
  private var supply: WorkSupply
  private var outbox = Outbox()
  /// Partial sums inside teams, whose receivers may have dropped the unit when the job is stopped.
  private var exchanges = Outbox()
  private let pipeline: RankPipeline<Work>
  private let mailbox = ExchangeMailbox()
  private var pause = PollingPause()
  private var wasIdle = true
  private var teamUnits: Set<Int> = []
  private var bytesRead = 0
  private var bytesSent = 0

  /// Starts the rank's threads.
  init(_ work: Work, rank: Int, units: [JobUnit], supply: WorkSupply) {
    self.rank = rank
    self.units = units
    self.supply = supply
    pipeline = RankPipeline(work)
    pipeline.start()
  }

  /// Starts to send a message.
  mutating func send(_ bytes: [UInt8], to target: Int, tag: Int, _ world: borrowing Communicator) throws {
    bytesSent += bytes.count
    outbox.add(try world.send(bytes, to: target, tag: tag))
  }

  /// Starts to send a message to every other rank.
  mutating func sendToAll(_ bytes: [UInt8], tag: Int, _ world: borrowing Communicator) throws {
    for target in 0..<world.size where target != rank { try send(bytes, to: target, tag: tag, world) }
  }

  /// What has been computed since the last call.
  mutating func takeOutcomes() -> [RankPipeline<Work>.Outcome] {
    let outcomes = pipeline.takeOutcomes()
    for case .finished(let unit, _, _) in outcomes {
      teamUnits.remove(unit)
      supply.finish(unit)
    }
    if !outcomes.isEmpty { wasIdle = false }
    return outcomes
  }

  /// The next message that is not between two ranks alone, if one has arrived.
  mutating func receive(_ world: borrowing Communicator) throws -> (Envelope, [UInt8])? {
    while let envelope = try world.arrived() {
      wasIdle = false
      let bytes = try world.receive(envelope)
      switch envelope.tag {
      case JobTag.exchange: mailbox.deliver(bytes, from: envelope.source)
      case JobTag.ask:
        try send(supply.answer(isIdle: bytes == [1]).encoded, to: envelope.source, tag: JobTag.answer, world)
      case JobTag.answer: supply.accept(StealAnswer(decoding: bytes))
      default: return (envelope, bytes)
      }
    }
    return nil
  }

  /// Gets work and sends what is to be sent, and rests if nothing has happened since the last call.
  mutating func progress(_ world: borrowing Communicator) throws {
    if stop.request == nil { try getWork(world) }
    for (target, bytes) in mailbox.takeOutgoing() {
      bytesSent += bytes.count
      exchanges.add(try world.send(bytes, to: target, tag: JobTag.exchange))
    }
    try outbox.progress()
    try exchanges.progress()
    // A team's member that waits stands still, and its core with it: the main thread may have it, without a nap.
    if !wasIdle || mailbox.isAwaited { pause.reset() }
    if wasIdle { pause.rest(isShort: !teamUnits.isEmpty) { pipeline.awaitOutcome(nanoseconds: $0) } }
    wasIdle = true
  }

  private mutating func getWork(_ world: borrowing Communicator) throws {
    while let team = supply.next() {
      wasIdle = false
      if team.ranks.count > 1 { teamUnits.insert(team.unit) }
      bytesRead += units[team.unit].byteCount / team.ranks.count
      pipeline.submit(team.unit, group: RankGroup(ranks: team.ranks, rank: rank, mailbox: mailbox))
    }
    if let target = supply.rankToAsk() {
      try send([supply.isIdle ? 1 : 0], to: target, tag: JobTag.ask, world)
    }
  }

  /// Whether an answer is on its way that must be taken before the job ends.
  var isAsking: Bool { supply.isAsking }

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
  func close(threadCount: Int) -> RankStatistics {
    RankStatistics(
      mpiRank: rank, times: pipeline.close(), traffic: mailbox.total,
      load: RankLoad(
        bytesRead: bytesRead, bytesSent: bytesSent, steals: supply.steals, isWorking: supply.isWorking),
      threadCount: threadCount, since: start)
  }
}
