internal import Glibc
package import MPI
internal import Synchronization

/// The signals that ask a job to stop: SIGTERM, SIGUSR1, and SIGINT where no launcher forwards it.
///
/// A handler counts them and does nothing else; the main thread looks at the counts. Blocking the signals instead
/// would not do: OpenBLAS starts its threads before `main`, with the signals open, and programs that this one starts
/// would inherit the mask. Handlers end with `exec`, and system calls carry on after them.
public enum StopSignals {
  private static let softCount = Atomic<Int>(0)
  private static let urgentSignal = Atomic<Int32>(0)
  private static let exitsAtOnce = Atomic<Bool>(false)

  /// Counts the signals from now on; until then, and in programs that never call this, they end the process.
  ///
  /// - Parameter isAlone: Whether no launcher started this process, so that SIGINT comes from a terminal.
  public static func catchAll(isAlone: Bool) {
    // A handler must not be what initialises these.
    _ = (softCount.load(ordering: .relaxed), urgentSignal.load(ordering: .relaxed))
    _ = exitsAtOnce.load(ordering: .relaxed)
    let numbers = [SIGTERM, SIGUSR1] + (isAlone ? [SIGINT] : [])
    for number in numbers { _ = signal(number, count) }
    // Whoever started this process may have blocked them, as Dispatch's threads do.
    var open = sigset_t()
    sigemptyset(&open)
    for number in numbers { sigaddset(&open, number) }
    pthread_sigmask(SIG_UNBLOCK, &open, nil)
  }

  /// Whether an urgent signal ends the process by itself, as long as its main thread has no time to look.
  ///
  /// Results that were handed in are on disk; nothing else is worth the wait.
  package static func exitAtOnce(_ isWanted: Bool) { exitsAtOnce.store(isWanted, ordering: .relaxed) }

  /// Signals that leave time to finish, so far.
  static var softSignalCount: Int { softCount.load(ordering: .relaxed) }

  /// The last signal that leaves none, if any has come.
  static var urgent: Int32? {
    let number = urgentSignal.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }

  private static let count: @convention(c) (Int32) -> Void = { number in
    if number == SIGUSR1 {
      softCount.add(1, ordering: .relaxed)
    } else {
      urgentSignal.store(number, ordering: .relaxed)
      if exitsAtOnce.load(ordering: .relaxed) { _exit(ExitCode.resumable.rawValue) }
    }
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

  package init(_ request: StopRequest) {
    signalName =
      switch request.signal {
      case SIGUSR1: "SIGUSR1"
      case SIGTERM: "SIGTERM"
      case SIGINT: "SIGINT"
      default: "signal \(request.signal)"
      }
  }

  /// The sentence to print.
  public var description: String { "stopped by \(signalName); the same command carries on" }
}
