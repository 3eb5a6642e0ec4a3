internal import Foundation
internal import Synchronization

/// Where a rank runs one evaluation at a time, beside its main thread.
final class EvaluationSlot: Sendable {
  private let state = Mutex(State())

  private struct State {
    var isBusy = false
    var isStopped = false
    var outcome: EvaluationOutcome?
  }

  /// Whether an evaluation runs or its outcome has not been taken.
  var isBusy: Bool { state.withLock(\.isBusy) }

  /// Starts an evaluation; the slot is free.
  func start(_ task: EvaluationTask) {
    state.withLock { $0.isBusy = true }
    let thread = Thread { [self] in
      let outcome = task.run { state.withLock(\.isStopped) }
      state.withLock { $0.outcome = outcome }
    }
    thread.name = "evaluation"
    thread.start()
  }

  /// Ends what runs, and whatever is started from now on.
  func stop() { state.withLock { $0.isStopped = true } }

  /// What came of the evaluation, once it is done.
  func takeOutcome() -> EvaluationOutcome? {
    state.withLock { state in
      defer { state.outcome = nil }
      if state.outcome != nil { state.isBusy = false }
      return state.outcome
    }
  }
}
