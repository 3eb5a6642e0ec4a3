internal import Foundation
internal import Glibc
internal import Synchronization

/// One run of the evaluation command.
package struct EvaluationTask: Sendable, Codable {
  /// For the shell.
  let command: String
  /// Added to what this process inherited.
  let environment: [String: String]
  /// Where it starts, if that is a folder on the machine that runs it.
  let folder: String
  /// Where everything it prints is kept.
  let logPath: String
  /// Seconds after which it is ended; nil for never.
  let timeoutSeconds: Double?

  /// A run to come.
  ///
  /// - Parameters:
  ///   - command: For the shell.
  ///   - environment: Added to what this process inherited.
  ///   - folder: Where it starts.
  ///   - logPath: Where everything it prints is kept.
  ///   - timeoutSeconds: After that many it is ended; nil for never.
  package init(
    command: String, environment: [String: String], folder: String, logPath: String, timeoutSeconds: Double?
  ) {
    self.command = command
    self.environment = environment
    self.folder = folder
    self.logPath = logPath
    self.timeoutSeconds = timeoutSeconds
  }

  /// Between the request to end and the order.
  private static let graceSeconds = 5.0
  /// The same where a launcher is about to kill this rank too.
  private static let stopSeconds = 0.2

  /// Runs it to its end; called on a thread of its own.
  ///
  /// - Parameter isStopped: Asked now and then; once true, the command is ended.
  /// - Returns: What came of it.
  package func run(isStopped: () -> Bool) -> EvaluationOutcome {
    let start = Date()
    func outcome(
      _ status: EvaluationOutcome.Status, _ message: String?,
      _ values: [String: EvaluationOutcome.Value] = [:]
    ) -> EvaluationOutcome {
      EvaluationOutcome(
        status: status, message: message, seconds: Date().timeIntervalSince(start), values: values)
    }
    guard FileManager.default.createFile(atPath: logPath, contents: nil),
      let log = FileHandle(forWritingAtPath: logPath)
    else {
      return outcome(.failed, "its log \(logPath) cannot be written")
    }
    let process = Process()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = ["-c", "\(useAllProcessors)\n\(command)"]
    process.environment = withoutLauncher(ProcessInfo.processInfo.environment).merging(environment) {
      _, added in added
    }
    if FileManager.default.fileExists(atPath: folder) { process.currentDirectoryURL = URL(filePath: folder) }
    process.standardInput = FileHandle.nullDevice
    process.standardError = log
    let output = LoggedOutput(log)
    process.standardOutput = output.pipe
    let ended = DispatchSemaphore(value: 0)
    process.terminationHandler = { _ in ended.signal() }
    do { try process.run() } catch { return outcome(.failed, "/bin/sh cannot be started: \(error)") }
    output.start()
    let ending = wait(for: ended, of: process, since: start, isStopped: isStopped)
    // Whatever it left running in its group would keep the output open.
    kill(-process.processIdentifier, SIGKILL)
    let text = output.text()
    let status = process.terminationStatus
    switch ending {
    case .stopped: return outcome(.stopped, "ended by a signal to the job")
    case .timeout:
      return outcome(.failed, "not done after \(timeoutSeconds ?? 0) s, see \(logPath)")
    case .byItself where process.terminationReason == .uncaughtSignal:
      return outcome(.failed, "ended by signal \(status), see \(logPath)")
    case .byItself where status != 0:
      return outcome(.failed, "ended with exit code \(status), see \(logPath)")
    case .byItself:
      guard let values = EvaluationOutcome.values(inLastLineOf: text) else {
        return outcome(.failed, "its last line of standard output is no JSON object, see \(logPath)")
      }
      return outcome(.ok, nil, values)
    }
  }

  private enum Ending { case byItself, timeout, stopped }

  /// Waits; asks the command's process group to end when it is time, and makes it.
  private func wait(
    for ended: DispatchSemaphore, of process: Process, since start: Date, isStopped: () -> Bool
  ) -> Ending {
    var ending = Ending.byItself
    while ended.wait(timeout: .now() + 0.1) == .timedOut {
      if hasExited(process.processIdentifier) {
        // Foundation is told by a socket that whatever the shell left in the background holds open.
        kill(-process.processIdentifier, SIGKILL)
        ended.wait()
        break
      }
      var grace = Self.graceSeconds
      if isStopped() {
        ending = .stopped
        grace = Self.stopSeconds
      } else if let timeoutSeconds, Date().timeIntervalSince(start) > timeoutSeconds {
        ending = .timeout
      } else {
        continue
      }
      // Foundation makes the child the leader of a group of its own.
      kill(-process.processIdentifier, SIGTERM)
      if ended.wait(timeout: .now() + grace) == .timedOut {
        kill(-process.processIdentifier, SIGKILL)
        ended.wait()
      }
      break
    }
    return ending
  }
}

/// Whether a child has ended, without taking its status from whoever waits for it.
private func hasExited(_ child: Int32) -> Bool {
  var information = siginfo_t()
  return waitid(P_PID, id_t(child), &information, WEXITED | WNOHANG | WNOWAIT) == 0
    && information.si_signo == SIGCHLD
}

/// A line for the shell: launchers bind a rank to one core, but an evaluation has the machine for itself.
private let useAllProcessors =
  "taskset -pc 0-\(ProcessInfo.processInfo.processorCount - 1) $$ >/dev/null 2>&1 || true"

/// An environment without what a launcher told this rank, which would confuse an MPI program in the command.
///
/// - Parameter environment: A process's.
/// - Returns: The rest of it.
package func withoutLauncher(_ environment: [String: String]) -> [String: String] {
  let launcherPrefixes = ["OMPI_", "PMIX_", "PMI_", "ORTE_", "OPAL_"]
  return environment.filter { name, _ in
    name.hasPrefix("OMPI_ALLOW_RUN_AS_ROOT") || !launcherPrefixes.contains { name.hasPrefix($0) }
  }
}

/// A child's standard output: into the log as it comes, and its end kept.
private final class LoggedOutput: Sendable {
  /// A last line longer than this is no summary.
  private static let keptByteCount = 1 << 20
  /// Longest wait for an output whose writers are dead.
  private static let longestWaitSeconds = 5.0

  let pipe = Pipe()
  private let log: FileHandle
  private let tail = Mutex(Data())
  private let ended = DispatchSemaphore(value: 0)

  init(_ log: FileHandle) { self.log = log }

  func start() {
    let thread = Thread { [self] in
      while let part = try? pipe.fileHandleForReading.read(upToCount: 1 << 16), !part.isEmpty {
        try? log.write(contentsOf: part)
        tail.withLock { $0 = ($0 + part).suffix(Self.keptByteCount) }
      }
      ended.signal()
    }
    thread.start()
  }

  func text() -> String {
    _ = ended.wait(timeout: .now() + Self.longestWaitSeconds)
    return tail.withLock { String(decoding: $0, as: UTF8.self) }
  }
}
