internal import Foundation
internal import Glibc
package import MPI
internal import Synchronization

/// The signals that ask a job to stop: SIGTERM, SIGUSR1, and SIGINT where no launcher forwards it.
///
/// A handler notes them and does nothing else. SIGUSR1 leaves time: the main thread looks when it comes to it. The
/// others leave none: while the main thread looks, in a job's loop, it answers them; at any other time a thread of
/// their own ends the process. Blocking the signals instead would not do: OpenBLAS starts its threads before `main`,
/// with the signals open, and programs that this one starts would inherit the mask. Handlers end with `exec`, and
/// system calls carry on after them.
public enum StopSignals {
  private static let softCount = Atomic<Int>(0)
  private static let urgentSignal = Atomic<Int32>(0)
  private static let exitsAtOnce = Atomic<Bool>(true)
  private static let isEnding = Atomic<Bool>(false)
  /// The writing end of a pipe on which the handler wakes the thread.
  private static let bell = Atomic<Int32>(-1)
  private static let preparation = Mutex<(@Sendable () -> Void)?>(nil)

  /// Notes the signals from now on; until then, and in programs that never call this, they end the process.
  ///
  /// - Parameters:
  ///   - isAlone: Whether no launcher started this process, so that SIGINT comes from a terminal.
  ///   - announce: Called on a thread of its own before a signal ends the process without the main thread.
  public static func catchAll(
    isAlone: Bool, announce: @escaping @Sendable (JobStopped) -> Void = { _ in }
  ) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let listening = ends[0]
    bell.store(ends[1], ordering: .relaxed)
    Thread.detachNewThread { endWhenRung(listening, announce) }
    // A handler must not be what initialises these.
    _ = (softCount.load(ordering: .relaxed), urgentSignal.load(ordering: .relaxed))
    let numbers = [SIGTERM, SIGUSR1] + (isAlone ? [SIGINT] : [])
    for number in numbers { _ = signal(number, note) }
    // Whoever started this process may have blocked them, as Dispatch's threads do.
    unblock(numbers)
  }

  /// Whether an urgent signal ends the process by itself, since its main thread does not look.
  ///
  /// So it is whenever nothing else is said: what was finished is on disk once it is prepared for the end, and
  /// nothing else is worth the wait.
  package static func exitAtOnce(_ isWanted: Bool) { exitsAtOnce.store(isWanted, ordering: .relaxed) }

  /// What makes the process ready to be ended by a signal; it gets a second.
  ///
  /// - Parameter body: Called on a thread of its own, whatever the main thread does at that time; nil for nothing.
  package static func prepareExit(_ body: (@Sendable () -> Void)?) { preparation.withLock { $0 = body } }

  /// Takes back what `prepareExit` was given, for the main thread to do itself.
  ///
  /// - Returns: False if the process is ending by itself and does it, or has nothing to do.
  static func withdrawExit() -> Bool { takePreparation() != nil }

  /// Lets the process end by itself, which it is doing: what the main thread did now would belie what is said.
  static func awaitExit() -> Never { while true { pause() } }

  private static func takePreparation() -> (@Sendable () -> Void)? {
    preparation.withLock { body in
      defer { body = nil }
      return body
    }
  }

  /// Notes that the main thread is on its way out, and sees to it that the process ends, whatever holds it up.
  ///
  /// - Parameter isUrgent: Whether there is no time; what was finished has ten seconds to be made durable then, and
  ///   otherwise minutes, or until a signal leaves no more.
  static func boundEnd(isUrgent: Bool) {
    isEnding.store(isUrgent, ordering: .relaxed)
    exitsAtOnce.store(true, ordering: .relaxed)
    endWithin(seconds: isUrgent ? 10 : 300)
  }

  private static func endWithin(seconds: UInt32) {
    _ = signal(SIGALRM) { _ in _exit(ExitCode.resumable.rawValue) }
    unblock([SIGALRM])
    alarm(seconds)
  }

  /// Signals that leave time to finish, so far.
  static var softSignalCount: Int { softCount.load(ordering: .relaxed) }

  /// The last signal that leaves none, if any has come.
  static var urgent: Int32? {
    let number = urgentSignal.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }

  private static let note: @convention(c) (Int32) -> Void = { number in
    if number == SIGUSR1 {
      softCount.add(1, ordering: .relaxed)
    } else {
      urgentSignal.store(number, ordering: .relaxed)
      let interrupted = errno
      var byte: UInt8 = 0
      _ = write(bell.load(ordering: .relaxed), &byte, 1)
      errno = interrupted
    }
  }

  private static func unblock(_ numbers: [Int32]) {
    var open = sigset_t()
    sigemptyset(&open)
    for number in numbers { sigaddset(&open, number) }
    pthread_sigmask(SIG_UNBLOCK, &open, nil)
  }

  /// Waits for an urgent signal, and then for a moment in which nobody else answers it.
  private static func endWhenRung(_ listening: Int32, _ announce: (JobStopped) -> Void) {
    var byte: UInt8 = 0
    while read(listening, &byte, 1) != 1 {}
    while !exitsAtOnce.load(ordering: .relaxed) || isEnding.load(ordering: .relaxed) {
      PollingPause.sleep(nanoseconds: 20_000_000)
    }
    endWithin(seconds: 1)
    takePreparation()?()
    announce(JobStopped(StopRequest(signal: urgent ?? SIGTERM, isUrgent: true)))
    _exit(ExitCode.resumable.rawValue)
  }
}

/// What a signal asks for.
package struct StopRequest: Equatable {
  /// The signal.
  var signal: Int32
  /// Whether units in work are dropped instead of finished.
  var isUrgent: Bool

  /// The request as it travels.
  package var encoded: [UInt8] { [UInt8(truncatingIfNeeded: signal), isUrgent ? 1 : 0] }

  init(signal: Int32, isUrgent: Bool) {
    self.signal = signal
    self.isUrgent = isUrgent
  }

  package init(decoding bytes: [UInt8]) { self.init(signal: Int32(bytes[0]), isUrgent: bytes[1] == 1) }
}

/// Makes requests of one process's signals.
package struct StopListener {
  /// A launcher and a batch system may both deliver one signal: within this time it is the same.
  private static let sameSignalSeconds = 1.0

  private var first: (count: Int, seconds: Double)?

  /// A listener that has heard nothing.
  package init() {}

  /// What the signals so far ask for.
  package mutating func request() -> StopRequest? {
    if let signal = StopSignals.urgent { return StopRequest(signal: signal, isUrgent: true) }
    let count = StopSignals.softSignalCount
    guard count > 0 else { return nil }
    let now = secondsNow()
    if let first, now - first.seconds > Self.sameSignalSeconds {
      return StopRequest(signal: SIGUSR1, isUrgent: count > first.count)
    }
    first = (count, first?.seconds ?? now)
    return StopRequest(signal: SIGUSR1, isUrgent: false)
  }
}

extension StopListener {
  /// Collective: ends the job on every rank if a signal on any of them asks for it.
  ///
  /// - Throws: `JobStopped`, on all ranks or on none.
  package mutating func stopAll(on world: borrowing Communicator) throws {
    let own = request().map { Double($0.signal) } ?? 0
    let signal = try world.allReduce([own], .max)[0]
    if signal > 0 { throw JobStopped(StopRequest(signal: Int32(signal), isUrgent: false)) }
  }
}

/// The end of a job that was asked to stop, thrown on every rank.
public struct JobStopped: Error, Sendable, CustomStringConvertible {
  /// The signal's name.
  public let signalName: String
  /// Whether units in work were dropped.
  public let isUrgent: Bool

  package init(_ request: StopRequest) {
    isUrgent = request.isUrgent
    signalName =
      switch request.signal {
      case SIGUSR1: "SIGUSR1"
      case SIGTERM: "SIGTERM"
      case SIGINT: "SIGINT"
      default: "signal \(request.signal)"
      }
  }

  /// Sees to it that the process ends in time, however long it takes to write what was finished and to meet the other
  /// ranks, one of which may have died on its machine.
  public func boundEnd() { StopSignals.boundEnd(isUrgent: isUrgent) }

  /// The sentence to print.
  public var description: String { "stopped by \(signalName); the same command carries on" }
}
