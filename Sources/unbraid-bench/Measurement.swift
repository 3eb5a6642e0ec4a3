import Foundation
import LinearAlgebra

/// Seconds of several runs of one thing.
struct Measurement {
  private let sorted: [Double]

  /// Runs once to warm up and then `count` times.
  init(count: Int, _ body: () throws -> Void) rethrows {
    try body()
    var seconds: [Double] = []
    for _ in 0..<count {
      let start = DispatchTime.now().uptimeNanoseconds
      try body()
      seconds.append(Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-9)
    }
    sorted = seconds.sorted()
  }

  var median: Double { sorted[sorted.count / 2] }
  var least: Double { sorted[0] }
  var most: Double { sorted[sorted.count - 1] }

  /// Median, least and most as CSV columns.
  var columns: String { String(format: "%.6f,%.6f,%.6f", median, least, most) }
}

/// The line that says what a figure was measured on.
func machineLine() -> String {
  let cpu =
    (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?
    .split(separator: "\n").first { $0.hasPrefix("model name") }?
    .split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown"
  let cores = ProcessInfo.processInfo.activeProcessorCount
  return "# \(cpu), \(cores) cores, \(BLASLibrary.configuration), kernels \(BLASLibrary.coreName)"
}
