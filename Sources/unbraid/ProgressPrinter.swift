import Foundation
import Scheduling

/// Progress on standard error: one line rewritten on a terminal, a line now and then in a log.
final class ProgressPrinter {
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private let start = Date()
  private var lastPrint = Date()
  private var hasPrinted = false

  private static let terminalInterval = 0.1
  /// mpirun's output is no terminal: short jobs stay silent, long ones say that they live.
  private static let logInterval = 5.0

  /// Shows how far a job over modules is.
  func show(_ state: ProgressState) {
    show(state.finishedCount, of: state.unitCount, share: state.share, bytesDone: state.bytesDone)
  }

  /// Shows how far a job of modules is that go through a journal.
  func show(_ state: UnitProgress) {
    show(state.finishedCount, of: state.unitCount, share: state.share, bytesDone: state.bytesDone)
  }

  /// Shows how far the work is; `share` of it, from 0 to 1, is done.
  func show(_ finishedCount: Int, of count: Int, share: Double, bytesDone: Int) {
    let interval = isTerminal ? Self.terminalInterval : Self.logInterval
    guard Date().timeIntervalSince(lastPrint) >= interval else { return }
    lastPrint = Date()
    let elapsed = Date().timeIntervalSince(start)
    let rest = share > 0 ? elapsed * (1 - share) / share : 0
    let line = String(
      format: "%d/%d tensors, %.0f %%, %.2f GB/s, %@ left", finishedCount, count, 100 * share,
      Double(bytesDone) / 1e9 / max(elapsed, 1e-9), duration(rest))
    Messages.write(isTerminal ? "\r\u{1B}[K\(line)" : "unbraid: \(line)\n")
    hasPrinted = true
  }

  /// Clears the terminal's line.
  func finish() {
    if isTerminal && hasPrinted { Messages.write("\r\u{1B}[K") }
  }

  private func duration(_ seconds: Double) -> String {
    let whole = Int(seconds.rounded(.up))
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return "\(whole / 3600) h \(whole % 3600 / 60) min"
  }
}
