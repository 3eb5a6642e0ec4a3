/// How far a job is on its way to a stop, as one rank knows it.
struct JobStop {
  /// Longest wait for units in work, unless the signal leaves no time.
  private static let graceSeconds = 60.0
  /// Longest wait for ranks that have nothing to finish: mpirun kills a second after SIGTERM.
  private static let urgentSeconds = 0.5

  /// What is under way.
  private(set) var request: StopRequest?
  /// On rank 0, the others that have nothing in work any longer.
  private(set) var stillCount = 0
  private var listener = StopListener()
  private var deadline = Double.infinity
  private var hasSaidStill = false

  /// What this process's signals ask for beyond what is under way.
  mutating func news() -> StopRequest? { listener.request().flatMap { isNews($0) ? $0 : nil } }

  /// Notes a request.
  ///
  /// - Returns: Whether it asks for more than what was under way.
  mutating func begin(_ request: StopRequest) -> Bool {
    guard isNews(request) else { return false }
    self.request = request
    deadline = secondsNow() + (request.isUrgent ? Self.urgentSeconds : Self.graceSeconds)
    return true
  }

  /// Notes that another rank has nothing in work any longer.
  mutating func noteStill() { stillCount += 1 }

  /// True once: when this rank should say that it has nothing in work.
  mutating func shouldSayStill() -> Bool {
    defer { hasSaidStill = true }
    return !hasSaidStill
  }

  /// Whether the wait has been long enough.
  var isOverdue: Bool { secondsNow() > deadline }

  private func isNews(_ other: StopRequest) -> Bool { request.map { !$0.isUrgent && other.isUrgent } ?? true }
}
