import Foundation

/// The program that was built beside this one.
var builtProgram: String {
  URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent().appending(path: "unbraid").path
}

/// Another program, run to its end with a given number of threads.
enum ChildProcess {
  /// What a program printed on standard output, and how long it took.
  struct Result {
    let output: String
    let seconds: Double
  }

  /// Runs a program found in `PATH` by its words.
  static func run(_ words: [String], threads: Int = 1) throws -> Result {
    let errors = FileManager.default.temporaryDirectory.appending(path: "unbraid-bench-\(UUID()).log")
    guard FileManager.default.createFile(atPath: errors.path, contents: nil) else {
      throw ChildFailure(words: words, reason: "\(errors.path) cannot be written")
    }
    defer { try? FileManager.default.removeItem(at: errors) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    process.environment = environment(threads: threads)
    process.standardInput = FileHandle.nullDevice
    process.standardError = try FileHandle(forWritingTo: errors)
    let pipe = Pipe()
    process.standardOutput = pipe
    var output = Data()
    let seconds = try elapsedSeconds {
      try process.run()
      output = pipe.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
    }
    guard process.terminationStatus == 0 else {
      let said = (try? String(contentsOf: errors, encoding: .utf8)) ?? ""
      throw ChildFailure(
        words: words, reason: "it ended with status \(process.terminationStatus): \(said.suffix(2000))")
    }
    return Result(output: String(decoding: output, as: UTF8.self), seconds: seconds)
  }

  /// Our own environment without forced kernels, and with one number of threads for every library.
  private static func environment(threads: Int) -> [String: String] {
    var variables = ProcessInfo.processInfo.environment
    for name in forcedBLASSettings { variables[name] = nil }
    for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"] {
      variables[name] = String(threads)
    }
    return variables
  }
}

/// A program that could not be run to a good end.
struct ChildFailure: Error, CustomStringConvertible {
  let words: [String]
  let reason: String

  var description: String { "'\(words.joined(separator: " "))' failed: \(reason)" }
}
