import Foundation
import Synchronization

/// What a process that has ended left behind.
public struct ProcessResult: Sendable {
  /// The exit status, or 128 plus the signal that ended the process.
  public let status: Int32

  /// Everything written to standard output.
  public let output: String

  /// Everything written to standard error.
  public let errorOutput: String

  /// The lines of standard output, without empty ones.
  public var outputLines: [String] {
    output.split(separator: "\n").map(String.init)
  }

  /// The same result without some lines of standard error.
  public func droppingErrorLines(where isDropped: (Substring) -> Bool) -> ProcessResult {
    let lines = errorOutput.split(separator: "\n", omittingEmptySubsequences: false)
    return ProcessResult(
      status: status, output: output,
      errorOutput: lines.filter { !isDropped($0) }.joined(separator: "\n"))
  }
}

/// Runs programs as children of the test process.
public enum ProcessRunner {
  /// Runs a program to its end and collects what it printed.
  ///
  /// - Parameters:
  ///   - executable: A path, or a name looked up in `PATH`.
  ///   - arguments: Without the program's own name.
  ///   - environment: Added to what this process inherited; nothing is removed.
  ///   - workingFolder: Where the program starts; nil for this process's own folder.
  ///   - timeoutSeconds: After that many the program is killed, and its status is 128 + 9.
  ///   - meanwhile: Called on another thread once the program has started, with its process number.
  /// - Returns: The status and both outputs.
  /// - Throws: Foundation's error if the program cannot be started.
  public static func run(
    _ executable: String, _ arguments: [String], environment: [String: String] = [:],
    workingFolder: String? = nil, timeoutSeconds: Int = 60, meanwhile: (@Sendable (Int32) -> Void)? = nil
  ) throws -> ProcessResult {
    let process = Process()
    // `env` looks the name up in PATH and becomes the program.
    let isPath = executable.contains("/")
    process.executableURL = URL(filePath: isPath ? executable : "/usr/bin/env")
    process.arguments = isPath ? arguments : [executable] + arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, added in added }
    if let workingFolder { process.currentDirectoryURL = URL(filePath: workingFolder) }
    process.standardInput = FileHandle.nullDevice
    let output = OutputCollector()
    let errorOutput = OutputCollector()
    process.standardOutput = output.pipe
    process.standardError = errorOutput.pipe
    let ended = DispatchSemaphore(value: 0)
    process.terminationHandler = { _ in ended.signal() }
    try process.run()

    if let meanwhile {
      let identifier = process.processIdentifier
      Thread.detachNewThread { meanwhile(identifier) }
    }

    // Read both while the program runs: a full pipe would stop it for ever.
    output.start()
    errorOutput.start()
    if ended.wait(timeout: .now() + .seconds(timeoutSeconds)) == .timedOut {
      kill(process.processIdentifier, SIGKILL)
      ended.wait()
    }
    let status = process.terminationStatus
    return ProcessResult(
      status: process.terminationReason == .uncaughtSignal ? 128 + status : status,
      output: output.text(), errorOutput: errorOutput.text())
  }
}

/// One output of a child, read to its end on a thread of its own.
private final class OutputCollector: Sendable {
  /// Grandchildren that outlive a killed child hold the pipe open; nobody waits for them longer than this.
  private static let longestWaitSeconds = 10

  let pipe = Pipe()
  private let bytes = Mutex(Data())
  private let ended = DispatchSemaphore(value: 0)

  func start() {
    Thread.detachNewThread { [self] in
      let handle = pipe.fileHandleForReading
      while let part = try? handle.read(upToCount: 1 << 16), !part.isEmpty {
        bytes.withLock { $0.append(part) }
      }
      ended.signal()
    }
  }

  func text() -> String {
    _ = ended.wait(timeout: .now() + .seconds(Self.longestWaitSeconds))
    return bytes.withLock { String(decoding: $0, as: UTF8.self) }
  }
}
