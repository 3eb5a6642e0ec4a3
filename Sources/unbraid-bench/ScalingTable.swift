import ArgumentParser
import Foundation
import LinearAlgebra
import Scheduling

/// `unbraid-bench model`: what the scaling model predicts for published shapes, and how it does on a job that ran.
struct ScalingTable: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model",
    abstract: "Predict times on many machines from counted operations and bytes.",
    discussion: """
      Prints a table that is computed, not measured: models of published shapes in bf16, linear layers, on
      machines of equal ranks. With --report, the speed of a rank is fitted to that job's report.json first, and
      the job's own bytes between ranks stand beside those of the model.

      Example:  unbraid-bench model --report adapter/report.json --read-bandwidth 2e9
      """)

  @Option(help: "A report.json whose modules give the speed of a rank.") var report: String?
  @Option(help: "Operations a second of a rank, instead of a report's.") var rate: Double?
  @Option(help: "Bytes a second that a machine reads.") var readBandwidth = 2e9
  @Option(help: "Bytes a second from one rank to another.") var networkBandwidth = 1e9
  @Option(help: "Seconds of an exchange besides its bytes.") var latency = 1e-4
  @Option(help: "Ranks on a machine, a core each.") var ranksPerMachine = 16
  @Option(help: "Rank of the factors.") var rank = 32
  @Option(help: "Numbers of machines.") var machines = "1,4,16,64"

  func run() throws {
    let counts = try items(machines, "number of machines") { Int($0).flatMap { $0 > 0 ? $0 : nil } }
    var model = ScalingModel.rough
    model.readBytesPerSecond = readBandwidth
    model.networkBytesPerSecond = networkBandwidth
    model.exchangeSeconds = latency
    if let report {
      let job = try JobReport(path: report)
      model.operationsPerSecond = job.fittedOperationsPerSecond
      printLine(
        String(format: "# fitted to %@: %.1f GFLOP/s a rank", report, model.operationsPerSecond * 1e-9))
      printLine(job.trafficLine)
    }
    if let rate { model.operationsPerSecond = rate }
    printLine(
      String(
        format: "# computed, not measured: rank %d, %d ranks a machine, %.0f GFLOP/s a rank, %.1f GB/s read, "
          + "%.1f GB/s and %.0f us between ranks", rank, ranksPerMachine, model.operationsPerSecond * 1e-9,
        readBandwidth * 1e-9, networkBandwidth * 1e-9, latency * 1e6))
    printLine("model,machines,ranks,seconds,computing_s,reading_s,gathering_s,shared_modules,exchanged_MB")
    for shape in DecoderShape.published {
      for count in counts {
        let prediction = try model.predict(
          shape.costs(rank: rank), factorByteCount: shape.factorByteCount(rank: rank), machineCount: count,
          ranksPerMachine: ranksPerMachine)
        let seconds = [
          prediction.seconds, prediction.computingSeconds, prediction.readingSeconds,
          prediction.gatheringSeconds,
        ].map { String(format: "%.1f", $0) }.joined(separator: ",")
        printLine(
          "\(shape.name),\(count),\(count * ranksPerMachine),\(seconds),\(prediction.teamCount),"
            + String(format: "%.1f", Double(prediction.exchangedBytes) * 1e-6))
      }
    }
  }
}

/// The linear layers of a decoder with gated feed-forward layers.
private struct DecoderShape {
  let name: String
  let hidden: Int
  let keyValue: Int
  let feedForward: Int
  let layers: Int

  static let published = [
    DecoderShape(name: "Llama-2-7B", hidden: 4096, keyValue: 4096, feedForward: 11_008, layers: 32),
    DecoderShape(name: "Llama-2-70B", hidden: 8192, keyValue: 1024, feedForward: 28_672, layers: 80),
    DecoderShape(name: "Llama-3.1-405B", hidden: 16_384, keyValue: 1024, feedForward: 53_248, layers: 126),
  ]

  private var matrices: [(rows: Int, columns: Int)] {
    let layer = [
      (hidden, hidden), (keyValue, hidden), (keyValue, hidden), (hidden, hidden), (feedForward, hidden),
      (feedForward, hidden), (hidden, feedForward),
    ]
    return (0..<layers).flatMap { _ in layer }
  }

  /// Both models in bf16: four bytes an entry.
  func costs(rank: Int) -> [ModuleCost] {
    matrices.map {
      ModuleCost(
        rows: $0.rows, columns: $0.columns, rank: rank, method: .auto, byteCount: 4 * $0.rows * $0.columns)
    }
  }

  /// Factors in bf16.
  func factorByteCount(rank: Int) -> Int { matrices.reduce(0) { $0 + 2 * rank * ($1.rows + $1.columns) } }
}

extension JobReport {
  /// Priced operations of all modules over the seconds that ranks computed, waits inside teams left out.
  fileprivate var fittedOperationsPerSecond: Double {
    let operations = modules.reduce(0) { $0 + $1.cost.operations }
    let seconds = ranks.reduce(0) { $0 + $1.computingSeconds - $1.exchangeSeconds }
    return operations / max(seconds, 1e-9)
  }

  /// Bytes that the ranks of teams sent, counted and by the model.
  var trafficLine: String {
    let counted = ranks.reduce(0) { $0 + $1.exchangedBytes }
    let modelled = modules.filter { $0.rankCount > 1 && $0.passes > 0 }.reduce(0) { sum, module in
      sum + module.rankCount
        * module.cost.exchangedBytes(sharedBy: module.rankCount, steps: module.passes - 1)
    }
    return "# bytes between ranks: \(counted) counted, \(modelled) by the model"
      + (modelled > 0 ? String(format: ", quotient %.3f", Double(counted) / Double(modelled)) : "")
  }
}

extension JobReport.Module {
  fileprivate var cost: ModuleCost {
    ModuleCost(
      rows: shape[0], columns: shape[1], rank: requestedRank, method: DecompositionMethod(method),
      byteCount: 4 * shape[0] * shape[1])
  }
}
