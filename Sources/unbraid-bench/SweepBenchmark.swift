import ArgumentParser
import Foundation

/// `unbraid-bench sweep`: what many experiments cost beside one extraction.
struct SweepBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep",
    abstract: "Time a sweep of 24 experiments beside one extraction at the largest rank.",
    discussion: """
      The experiments are six ranks up to the largest one, all linear layers with the head and without, all singular
      values and all but the first. Prints CSV of wall-clock seconds, the launcher's included: of the extraction, of
      the sweep, of the sweep's writing (choosing, certifying and making 24 adapters durable), and the ratio of the
      rest of the sweep to the extraction.

      Example:  unbraid-bench sweep base tuned --ranks 2 --rank 128
      """)

  @Argument(help: "The base model.") var base: String
  @Argument(help: "The fine-tuned model.") var tuned: String
  @Option(help: "Number of ranks.") var ranks = 2
  @Option(help: "The largest rank; the others are halves of it, five times.") var rank = 128
  @Option(help: "Runs after a warm-up, of either in turn.") var runs = 5
  @Option(help: "The launcher with its options.") var launcher = "mpirun --oversubscribe --bind-to none"

  func run() throws {
    printLine(machineLine())
    var extraction: [Double] = []
    var sweep: [Double] = []
    var writing: [Double] = []
    for run in 0...max(1, runs) {
      let one = try extract()
      let many = try sweepOnce()
      guard run > 0 else { continue }
      extraction.append(one)
      sweep.append(many.seconds)
      writing.append(many.writingSeconds)
    }
    printLine("case,ranks,median_s,least_s,most_s")
    for (name, seconds) in [("extract", extraction), ("sweep", sweep), ("writing", writing)] {
      printLine("\(name),\(ranks),\(Measurement(seconds: seconds).columns)")
    }
    let ratios = zip(extraction, zip(sweep, writing)).map { ($1.0 - $1.1) / $0 }
    printLine(
      String(format: "# (sweep - writing) / extract: median %.2f", Measurement(seconds: ratios).median))
  }

  private func extract() throws -> Double {
    try withTemporaryFolder { folder in
      try ChildProcess.run(
        words + ["extract", base, tuned, "-o", folder + "/adapter", "--rank", "\(rank)", "--head"]
      ).seconds
    }
  }

  private func sweepOnce() throws -> (seconds: Double, writingSeconds: Double) {
    try withTemporaryFolder { folder in
      try Data(plan.utf8).write(to: URL(fileURLWithPath: folder + "/plan.yaml"))
      let seconds = try ChildProcess.run(words + ["sweep", folder + "/plan.yaml"]).seconds
      let table = try Data(contentsOf: URL(fileURLWithPath: folder + "/sweep/results.json"))
      let rows = try JSONDecoder().decode([Row].self, from: table)
      return (seconds, rows.reduce(0) { $0 + $1.adapter.seconds })
    }
  }

  /// What is needed of a row of results.json.
  private struct Row: Decodable {
    let adapter: Adapter

    struct Adapter: Decodable {
      let seconds: Double
    }
  }

  private var plan: String {
    let ranks = (0..<6).reversed().map { max(1, rank >> $0) }
    return """
      output: sweep
      pairs: [{name: pair, base: '\(absolute(base))', tuned: '\(absolute(tuned))'}]
      ranks: \(ranks)
      filters: [{name: linear}, {name: head, head: true}]
      edits: [{name: whole}, {name: rest, drop: {"*": 0}}]
      """
  }

  private func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }

  private var words: [String] {
    launcher.split(separator: " ").map(String.init) + ["-n", "\(ranks)", builtProgram]
  }
}
