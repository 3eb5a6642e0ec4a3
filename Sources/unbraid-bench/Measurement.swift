import Foundation
import LinearAlgebra

/// Seconds of several runs of one thing.
struct Measurement {
  private let sorted: [Double]

  /// Times that were taken elsewhere, one at least.
  init(seconds: [Double]) {
    precondition(!seconds.isEmpty, "a measurement has one run at least")
    sorted = seconds.sorted()
  }

  /// Runs once to warm up and then `count` times.
  init(count: Int, _ body: () throws -> Void) rethrows {
    try body()
    var seconds: [Double] = []
    for _ in 0..<count { seconds.append(try elapsedSeconds(body)) }
    self.init(seconds: seconds)
  }

  var median: Double { sorted[sorted.count / 2] }
  var least: Double { sorted[0] }
  var most: Double { sorted[sorted.count - 1] }

  /// Median, least and most as CSV columns.
  var columns: String { String(format: "%.6f,%.6f,%.6f", median, least, most) }
}

/// Wall-clock seconds that something takes.
func elapsedSeconds(_ body: () throws -> Void) rethrows -> Double {
  let start = DispatchTime.now().uptimeNanoseconds
  try body()
  return Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-9
}

/// Prints a line at once, so that a long run shows how far it is.
func printLine(_ text: String) {
  print(text)
  fflush(nil)
}

/// The line that says what a figure was measured on.
func machineLine() -> String {
  let cpu =
    (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?
    .split(separator: "\n").first { $0.hasPrefix("model name") }?
    .split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown"
  let cores = ProcessInfo.processInfo.activeProcessorCount
  // OpenBLAS reads these when it is loaded; figures taken under them are not the machine's.
  let forced = forcedBLASSettings.compactMap { name in
    ProcessInfo.processInfo.environment[name].map { ", FORCED \(name)=\($0)" }
  }
  return "# \(cpu), \(cores) cores, \(BLASLibrary.configuration), kernels \(BLASLibrary.coreName)"
    + forced.joined()
}

/// Settings of OpenBLAS that no measured program is to run under.
let forcedBLASSettings = ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"]
