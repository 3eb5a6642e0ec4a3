internal import Foundation
package import MPI
internal import Scheduling

/// Runs evaluations on the machines of a job, one or a few at a time on each, side by side on all of them.
///
/// Rank 0 gives them out; the first ranks of each machine run them, each beside its main thread, which only looks now
/// and then for messages. Everybody else naps, so that an evaluation has the machine for itself.
package struct EvaluationPool: ~Copyable {
  private let world: Communicator
  private let evaluators: [Int]
  private let slot = EvaluationSlot()
  private var outbox: Outbox
  private var pause = PollingPause()
  private var listener = StopListener()
  private var stop: StopRequest?

  private enum Tag {
    /// To an evaluator: a task.
    static let task = 1
    /// To rank 0: an outcome.
    static let outcome = 2
    /// To rank 0: a signal came.
    static let signal = 3
    /// To all: end what runs.
    static let halt = 4
    /// To all: the job is stopped.
    static let over = 5
    /// To all: there is nothing more to do.
    static let dismissal = 6
  }

  /// Longest wait for evaluations that were told to end: mpirun kills a second after SIGTERM.
  private static let haltSeconds = 0.6

  /// Collective: a pool of all ranks.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - countPerHost: How many evaluations a machine runs at a time.
  ///   - headCoordinates: Whether rank 0 leaves the evaluations to the others.
  /// - Throws: An `MPIError`.
  package init(on world: borrowing Communicator, countPerHost: Int, headCoordinates: Bool) throws {
    var hosts: [[UInt8]: Int] = [:]
    var evaluators: [Int] = []
    for (rank, host) in try world.allGather(Array(Runtime.processorName.utf8)).enumerated()
    where rank > 0 || !headCoordinates {
      hosts[host, default: 0] += 1
      if hosts[host, default: 0] <= countPerHost { evaluators.append(rank) }
    }
    let own = try world.duplicate()
    self.evaluators = evaluators
    self.world = own
    outbox = Outbox()
  }

  /// On rank 0: runs tasks.
  ///
  /// - Parameters:
  ///   - tasks: In the order in which they are given out.
  ///   - onFinish: Called with each task's number and outcome, in the order in which they end.
  /// - Throws: What `onFinish` throws, an `MPIError`, or `JobStopped` after a signal to any rank.
  package mutating func run(_ tasks: [EvaluationTask], onFinish: (Int, EvaluationOutcome) throws -> Void)
    throws
  {
    var next = 0
    var running: [Int: Int] = [:]
    while next < tasks.count || !running.isEmpty {
      for rank in evaluators where running[rank] == nil && next < tasks.count && stop == nil {
        try start(tasks[next], on: rank)
        running[rank] = next
        next += 1
      }
      if let (rank, outcome) = try takeOutcome(), let task = running.removeValue(forKey: rank) {
        if outcome.status != .stopped { try onFinish(task, outcome) }
      }
      if stop != nil { try end(running: running, onFinish: onFinish) }
      try rest()
    }
  }

  /// On the other ranks: runs what rank 0 gives out, until it says that nothing more comes.
  ///
  /// - Throws: An `MPIError`, or `JobStopped` after a signal to any rank.
  package mutating func serve() throws {
    var hasToldSignal = false
    while true {
      if let envelope = try world.arrived() {
        let bytes = try world.receive(envelope)
        pause.reset()
        switch envelope.tag {
        case Tag.task: slot.start(try JSONDecoder().decode(EvaluationTask.self, from: Data(bytes)))
        case Tag.halt: slot.stop()
        case Tag.over: throw JobStopped(StopRequest(decoding: bytes))
        case Tag.dismissal: return try outbox.drain()
        default: preconditionFailure("unexpected message tag \(envelope.tag)")
        }
      }
      if let outcome = slot.takeOutcome() {
        outbox.add(try world.send(Array(JSONEncoder().encode(outcome)), to: 0, tag: Tag.outcome))
      }
      if !hasToldSignal, let request = listener.request() {
        hasToldSignal = true
        slot.stop()
        outbox.add(try world.send(request.encoded, to: 0, tag: Tag.signal))
      }
      try rest()
    }
  }

  /// On rank 0: lets the other ranks go.
  ///
  /// - Throws: An `MPIError`.
  package mutating func dismiss() throws {
    try tellAll(Tag.dismissal, [])
    try outbox.drain()
  }

  private mutating func start(_ task: EvaluationTask, on rank: Int) throws {
    if rank == 0 {
      slot.start(task)
    } else {
      outbox.add(try world.send(Array(JSONEncoder().encode(task)), to: rank, tag: Tag.task))
    }
  }

  /// An outcome of any rank, if there is one; notes signals on the way.
  private mutating func takeOutcome() throws -> (rank: Int, outcome: EvaluationOutcome)? {
    if let outcome = slot.takeOutcome() { return (0, outcome) }
    if stop == nil { stop = listener.request() }
    guard let envelope = try world.arrived() else { return nil }
    pause.reset()
    let bytes = try world.receive(envelope)
    if envelope.tag == Tag.outcome {
      return (envelope.source, try JSONDecoder().decode(EvaluationOutcome.self, from: Data(bytes)))
    }
    stop = stop ?? StopRequest(decoding: bytes)
    return nil
  }

  /// Ends what runs on all ranks, takes what was done all the same, and throws.
  private mutating func end(running: [Int: Int], onFinish: (Int, EvaluationOutcome) throws -> Void) throws {
    guard let stop else { return }
    var running = running
    slot.stop()
    try tellAll(Tag.halt, [])
    let deadline = Date(timeIntervalSinceNow: Self.haltSeconds)
    while !running.isEmpty && Date() < deadline {
      if let (rank, outcome) = try takeOutcome(), let task = running.removeValue(forKey: rank) {
        if outcome.status != .stopped { try onFinish(task, outcome) }
      }
      try rest()
    }
    try tellAll(Tag.over, stop.encoded)
    try outbox.drain()
    throw JobStopped(stop)
  }

  private mutating func tellAll(_ tag: Int, _ bytes: [UInt8]) throws {
    for rank in 1..<max(1, world.size) { outbox.add(try world.send(bytes, to: rank, tag: tag)) }
  }

  private mutating func rest() throws {
    try outbox.progress()
    pause.rest()
  }
}
