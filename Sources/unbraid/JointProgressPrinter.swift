import Foundation
import Scheduling

/// Progress of a joint decomposition on standard error: one line rewritten on a terminal, a line now and then in a
/// log.
final class JointProgressPrinter {
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private var lastPrint = Date()
  private var hasPrinted = false

  /// Shows which group is read for which time.
  func show(_ progress: JointProgress) {
    guard isTerminal || Date().timeIntervalSince(lastPrint) >= 5 else { return }
    lastPrint = Date()
    let line =
      "group \(progress.groupNumber + 1) of \(progress.groupCount) (\(progress.groupName)), read "
      + "\(progress.readCount)"
    Messages.write(isTerminal ? "\r\u{1B}[K\(line)" : "unbraid: \(line)\n")
    hasPrinted = true
  }

  /// Clears the terminal's line.
  func finish() {
    if isTerminal && hasPrinted { Messages.write("\r\u{1B}[K") }
  }
}
