internal import Foundation

extension NSCondition {
  /// Calls a closure that may change what the condition guards, and wakes whoever waits for such a change.
  func withChange<Result>(_ body: () -> Result) -> Result {
    lock()
    defer {
      broadcast()
      unlock()
    }
    return body()
  }
}
