import ArgumentParser
import Checkpoints
import Foundation
import LinearAlgebra

/// `unbraid-bench extract`: the whole program, from mpirun to the adapter's folder.
struct ExtractBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "extract",
    abstract: "Time whole extractions beside their two floors, reading and arithmetic, and other programs.",
    discussion: """
      Prints CSV of wall-clock seconds, the launcher's included; job_s is what the program reports. read_floor_s
      is bytes read over the rate of dd in the same state; arithmetic_floor_s is the operations of all products
      over the rate of sgemm on as many cores; of_floor is seconds over the larger of the two. In a compared
      command, {base}, {tuned}, {rank} and {out} stand for the models, the rank and a folder that does not exist.
      Options of unbraid extract follow after --.

      Example:  unbraid-bench extract base tuned --ranks 1,2 --rank 32 --cold
      """)

  @Argument(help: "The base model.") var base: String
  @Argument(help: "The fine-tuned model.") var tuned: String
  @Argument(parsing: .postTerminator, help: "Further options of unbraid extract.") var passed: [String] = []
  @Option(help: "Numbers of ranks.") var ranks = "2"
  @Option(help: "Rank of the factors.") var rank = 32
  @Flag(help: "Decompose the output head too.") var head = false
  @Flag(help: "Decompose embeddings too.") var embeddings = false
  @Option(help: "Runs after a warm-up.") var runs = 5
  @Flag(help: "Read the models from the disk in every run.") var cold = false
  @Option(help: "The launcher with its options.") var launcher = "mpirun --oversubscribe --bind-to none"
  @Option(help: Competitor.help) var compare: [Competitor] = []
  @Option(help: "Run compared commands beside the first of the runs only, so many.") var compareRuns = 1

  func run() throws {
    let rankCounts = try items(ranks, "number of ranks") { Int($0).flatMap { $0 > 0 ? $0 : nil } }
    let files = try [base, tuned].flatMap { try Checkpoint.open($0).files }
    BLASLibrary.useThreads(1)
    printLine(machineLine())
    let sgemm = MachineRates.sgemm()
    let dd = try readRate(files)
    let state = cold ? "cold" : "warm"
    printLine(
      String(format: "# sgemm %.1f GFLOP/s on one core, dd %.2f GB/s %@", sgemm * 1e-9, dd * 1e-9, state))
    if cold { printLine("# cold: after \(PageCache.means)") }

    var times: [Int: [Double]] = [:]
    var reports: [Int: [JobReport]] = [:]
    var others: [[Double]] = compare.map { _ in [] }
    for count in rankCounts { _ = try extract(ranks: count) }
    for run in 0..<max(1, runs) {
      for count in rankCounts {
        if cold { try prepareCold(files) }
        let (seconds, report) = try extract(ranks: count)
        times[count, default: []].append(seconds)
        reports[count, default: []].append(report)
      }
      guard run < compareRuns else { continue }
      for (index, other) in compare.enumerated() {
        if cold { try PageCache.drop(files) }
        others[index].append(try runOther(other, ranks: rankCounts.max() ?? 1))
      }
    }

    printLine(
      "case,ranks,state,median_s,least_s,most_s,job_s,gigabytes,GB_per_s,read_floor_s,arithmetic_floor_s,"
        + "of_floor,peak_MB_of_a_rank,ratio")
    var medians: [Double] = []
    var jobMedians: [Double] = []
    for count in rankCounts {
      guard let seconds = times[count], let jobs = reports[count], let job = jobs.last else { continue }
      let time = Measurement(seconds: seconds)
      let floors = (
        reading: Double(job.bytesRead) / dd, arithmetic: job.operations / (sgemm * Double(count))
      )
      let jobSeconds = Measurement(seconds: jobs.map(\.seconds)).median
      let columns = [
        jobSeconds, Double(job.bytesRead) * 1e-9, Double(job.bytesRead) * 1e-9 / time.median, floors.reading,
        floors.arithmetic, time.median / max(floors.reading, floors.arithmetic),
      ].map { String(format: "%.3f", $0) }.joined(separator: ",")
      printLine(
        "unbraid,\(count),\(state),\(time.columns),\(columns),"
          + "\((jobs.map(\.peakMemoryBytes).max() ?? 0) / 1_000_000),")
      medians.append(time.median)
      jobMedians.append(jobSeconds)
      if job.ranks.contains(where: { $0.exchangedBytes > 0 }) { printLine(job.trafficLine) }
    }
    for (other, seconds) in zip(compare, others) where !seconds.isEmpty {
      let time = Measurement(seconds: seconds)
      let ratio = String(format: "%.1f", time.median / (medians.min() ?? 1))
      printLine("\(other.name),,\(state),\(time.columns),,,,,,,,\(ratio)")
    }
    for index in medians.indices.dropFirst() {
      printLine(
        String(
          format: "# speed-up of %d ranks over %d: %.2f, without the launcher %.2f", rankCounts[index],
          rankCounts[0], medians[0] / medians[index], jobMedians[0] / jobMedians[index]))
    }
  }

  /// Bytes a second of dd over the models' files, in the state that the runs find them in; the best of three.
  private func readRate(_ files: [String]) throws -> Double {
    let bytes = Double(try byteCount(of: files))
    if !cold { _ = try PageCache.secondsByDD(files) }
    let rates = try (0..<3).map { _ in
      if cold { try PageCache.drop(files) }
      return bytes / (try PageCache.secondsByDD(files))
    }
    return rates.max() ?? bytes
  }

  /// The models out of memory, but not the programs and libraries.
  private func prepareCold(_ files: [String]) throws {
    try PageCache.drop(files)
    _ = try ChildProcess.run(launcherWords(ranks: 1) + [builtProgram, "--version"])
  }

  private func extract(ranks: Int) throws -> (seconds: Double, report: JobReport) {
    let folder = temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var words = launcherWords(ranks: ranks) + [builtProgram, "extract", base, tuned, "-o", folder]
    words += ["--rank", String(rank)] + passed
    if head { words.append("--head") }
    if embeddings { words.append("--embeddings") }
    let result = try ChildProcess.run(words)
    return (result.seconds, try JobReport(adapter: folder))
  }

  private func runOther(_ other: Competitor, ranks: Int) throws -> Double {
    let folder = temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let values = ["base": base, "tuned": tuned, "rank": String(rank), "out": folder]
    return try other.run(values, threads: ranks).seconds
  }

  private func launcherWords(ranks: Int) -> [String] {
    launcher.split(separator: " ").map(String.init) + ["-n", String(ranks)]
  }

  private func temporaryFolder() -> String {
    FileManager.default.temporaryDirectory.path + "/unbraid-bench-\(UUID())"
  }
}
