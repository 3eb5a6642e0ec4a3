import ArgumentParser
import Checkpoints
import Foundation
import LinearAlgebra
import WeightSources

/// `unbraid-bench read`: the program's own reader over model files, beside dd.
struct ReadBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "read",
    abstract: "Time the program's reader over models beside dd, with the files out of memory and in it.",
    discussion: """
      Prints CSV. bytes reads every tensor as it is stored; difference, for two models with tensors in common,
      reads both and subtracts, as an extraction does. of_dd is the rate over that of dd bs=4M in the same state.

      Example:  unbraid-bench read base tuned
      """)

  @Argument(help: "Models: folders or safetensors files.") var files: [String]
  @Option(help: "Runs of each.") var runs = 5
  @Flag(help: "Leave out the runs from the disk.") var warmOnly = false

  func run() throws {
    let models = try files.map { try Checkpoint.open($0) }
    let paths = Set(models.flatMap(\.files)).sorted()
    let pairs = models.count == 2 ? try? Pairing(base: models[0], tuned: models[1]).pairs : nil
    printLine(machineLine())
    printLine("# cold: after \(PageCache.means)")
    printLine("reader,state,gigabytes,median_s,least_s,most_s,GB_per_s,of_dd")
    for state in warmOnly ? [State.warm] : [.cold, .warm] {
      if state == .warm { _ = try PageCache.secondsByDD(paths) }
      var times = (dd: [Double](), bytes: [Double](), difference: [Double]())
      // In turn, so that what disturbs the machine disturbs all three.
      for _ in 0..<max(1, runs) {
        try state.prepare(paths)
        times.dd.append(try PageCache.secondsByDD(paths))
        try state.prepare(paths)
        times.bytes.append(try elapsedSeconds { try readBytes(models) })
        guard let pairs else { continue }
        try state.prepare(paths)
        times.difference.append(try elapsedSeconds { try readDifferences(pairs) })
      }
      let tensorBytes = models.reduce(0) { $0 + $1.tensors.values.reduce(0) { $0 + $1.byteCount } }
      let dd = Double(try byteCount(of: paths)) / Measurement(seconds: times.dd).median
      line("dd", state, try byteCount(of: paths), times.dd, dd: dd)
      line("bytes", state, tensorBytes, times.bytes, dd: dd)
      if let pairs {
        line("difference", state, pairs.reduce(0) { $0 + $1.byteCount }, times.difference, dd: dd)
      }
    }
  }

  private func readBytes(_ models: [Checkpoint]) throws {
    let reader = DeltaReader()
    for model in models {
      for tensor in model.tensors.values.sorted(by: { ($0.filePath, $0.offset) < ($1.filePath, $1.offset) }) {
        _ = try reader.readBytes(tensor)
      }
    }
  }

  private func readDifferences(_ pairs: [TensorPair]) throws {
    let reader = DeltaReader()
    for pair in pairs where (1...2).contains(pair.shape.count) { _ = try reader.readDelta(pair) }
  }

  private func line(_ reader: String, _ state: State, _ bytes: Int, _ seconds: [Double], dd: Double) {
    let time = Measurement(seconds: seconds)
    let rate = Double(bytes) / time.median
    printLine(
      "\(reader),\(state.rawValue)," + String(format: "%.3f,", Double(bytes) * 1e-9) + time.columns
        + String(format: ",%.2f,%.2f", rate * 1e-9, rate / dd))
  }

  private enum State: String {
    case cold, warm

    func prepare(_ files: [String]) throws {
      if self == .cold { try PageCache.drop(files) }
    }
  }
}

/// Bytes of some files together.
func byteCount(of files: [String]) throws -> Int {
  try files.reduce(0) { sum, file in
    let size = try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int
    return sum + (size ?? 0)
  }
}
