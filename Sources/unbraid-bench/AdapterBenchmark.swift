import ArgumentParser
import Foundation
import Glibc

/// `unbraid-bench adapter`: what adapters of a stored decomposition cost beside making it.
struct AdapterBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "adapter",
    abstract: "Time 24 adapters of a stored decomposition beside the decomposition.",
    discussion: """
      Decomposes once, then runs 'unbraid adapter' with 24 different rules and edits, one process each. Prints CSV of
      wall-clock seconds, the programs' start included: of the decomposition, of each adapter, and of all adapters
      together; and of their processor time, which other work on the machine does not change.

      Example:  unbraid-bench adapter base tuned --rank 128
      """)

  @Argument(help: "The base model.") var base: String
  @Argument(help: "The fine-tuned model.") var tuned: String
  @Option(help: "The rank of the decomposition.") var rank = 128
  @Option(help: "Runs of each adapter, in turn.") var runs = 3

  func run() throws {
    printLine(machineLine())
    try withTemporaryFolder { folder in
      let decomposition = folder + "/decomposition"
      let made = try ChildProcess.run(
        [builtProgram, "decompose", base, tuned, "-o", decomposition, "--rank", "\(rank)", "--head"])
      printLine("case,seconds,bytes")
      printLine(String(format: "decompose,%.3f,%d", made.seconds, try byteCount(decomposition)))
      var (each, totals, processor): ([Double], [Double], [Double]) = ([], [], [])
      for run in 0..<max(1, runs) {
        let (start, startOfAll) = (processorSeconds(), each.count)
        for (index, options) in variants.enumerated() {
          let path = "\(folder)/adapter-\(run)-\(index)"
          let seconds = try ChildProcess.run([builtProgram, "adapter", decomposition, "-o", path] + options)
            .seconds
          each.append(seconds)
          if run == 0 {
            printLine(
              String(
                format: "%@,%.3f,%d", options.joined(separator: " "), seconds, try byteCount(path)))
          }
          try FileManager.default.removeItem(atPath: path)
        }
        totals.append(each[startOfAll...].reduce(0, +))
        processor.append(processorSeconds() - start)
      }
      printLine("case,median_s,least_s,most_s")
      printLine("each adapter,\(Measurement(seconds: each).columns)")
      printLine("\(variants.count) adapters,\(Measurement(seconds: totals).columns)")
      printLine("their processor time,\(Measurement(seconds: processor).columns)")
    }
  }

  /// Processor seconds of all finished child processes.
  private func processorSeconds() -> Double {
    var usage = rusage()
    guard getrusage(__rusage_who_t(RUSAGE_CHILDREN.rawValue), &usage) == 0 else { return 0 }
    return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) * 1e-6 }
  }

  /// Every kind of rule and edit.
  private var variants: [[String]] {
    let ranks = (0..<6).map { ["--rank", "\(max(1, rank >> $0))"] }
    return ranks + [
      ["--rank", "\(rank)", "--factor-dtype", "f32"], ["--rank", "\(rank)", "--alpha", "16"],
      ["--energy", "0.2"], ["--energy", "0.4"], ["--sv-fro", "0.5"], ["--sv-ratio", "4"],
      ["--sv-cumulative", "0.5"], ["--epsilon", "0.02"], ["--gavish-donoho"], ["--noise-floor", "bf16"],
      ["--budget", "2M"], ["--budget", "8M"], ["--budget-parameters", "1000000"], ["--budget-energy", "0.2"],
      ["--drop", "0-3"], ["--keep", "mlp:0-31", "--scale", "0.8"], ["--jitter", "0.1", "--power", "0.2"],
      ["--drop-layers", "0-1"],
    ]
  }

  private func byteCount(_ folder: String) throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: folder).reduce(0) { sum, name in
      let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/" + name)
      return sum + (attributes[.size] as? Int ?? 0)
    }
  }
}
