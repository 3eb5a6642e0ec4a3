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
  /// - Returns: The status and both outputs.
  /// - Throws: Foundation's error if the program cannot be started.
  public static func run(
    _ executable: String, _ arguments: [String], environment: [String: String] = [:],
    workingFolder: String? = nil, timeoutSeconds: Int = 60
  ) throws -> ProcessResult {
    let running = try start(executable, arguments, environment: environment, workingFolder: workingFolder)
    return running.result(timeoutSeconds: timeoutSeconds)
  }

  /// Starts a program, to be waited for with `RunningProcess.result`.
  ///
  /// - Parameters:
  ///   - executable: A path, or a name looked up in `PATH`.
  ///   - arguments: Without the program's own name.
  ///   - environment: Added to what this process inherited; nothing is removed.
  ///   - workingFolder: Where the program starts; nil for this process's own folder.
  /// - Returns: The running program, whose output is being read.
  /// - Throws: Foundation's error if the program cannot be started.
  public static func start(
    _ executable: String, _ arguments: [String], environment: [String: String] = [:],
    workingFolder: String? = nil
  ) throws -> RunningProcess {
    let process = Process()
    // `env` looks the name up in PATH and becomes the program.
    let isPath = executable.contains("/")
    process.executableURL = URL(filePath: isPath ? executable : "/usr/bin/env")
    process.arguments = isPath ? arguments : [executable] + arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, added in added }
    if let workingFolder { process.currentDirectoryURL = URL(filePath: workingFolder) }
    process.standardInput = FileHandle.nullDevice
    return try RunningProcess(process)
  }
}

/// A program that was started as a child of the test process.
public final class RunningProcess {
  private let process: Process
  private let output = OutputCollector()
  private let errorOutput = OutputCollector()
  private let ended = DispatchSemaphore(value: 0)

  fileprivate init(_ process: Process) throws {
    self.process = process
    process.standardOutput = output.pipe
    process.standardError = errorOutput.pipe
    process.terminationHandler = { [ended] _ in ended.signal() }
    // Tests run on threads that block every signal; a child would inherit that.
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_UNBLOCK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    try process.run()
    // Read both while the program runs: a full pipe would stop it for ever.
    output.start()
    errorOutput.start()
  }

  /// Its process number.
  public var identifier: Int32 { process.processIdentifier }

  /// The process numbers of its children: the ranks, if it is mpirun.
  public var children: [Int32] {
    let tasks = "/proc/\(identifier)/task"
    let threads = (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []
    return threads.flatMap { thread in
      ((try? String(contentsOfFile: "\(tasks)/\(thread)/children", encoding: .utf8)) ?? "")
        .split(separator: " ").compactMap { Int32($0) }
    }.sorted()
  }

  /// Waits until it ends and collects what it printed.
  ///
  /// - Parameter timeoutSeconds: After that many it is killed, and its status is 128 + 9.
  /// - Returns: The status and both outputs.
  public func result(timeoutSeconds: Int = 60) -> ProcessResult {
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
