internal import Checkpoints
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// How fast this machine decomposes and reads, measured in well under a second.
public struct Calibration: Sendable, Codable {
  /// Operations a second of a Krylov decomposition on one core.
  public let operationsPerSecond: Double
  /// Bytes a second of the models' own files, as warm or cold as they are now.
  public let bytesPerSecond: Double

  /// Measures both; reads at most 64 MB of the plan's largest tensors.
  public init(for plan: ExtractionPlan) throws {
    operationsPerSecond = try measureDecomposition()
    bytesPerSecond = try measureReading(plan)
  }

  /// Expected wall-clock seconds on a number of ranks with a core each.
  ///
  /// The larger of computing and reading, since they overlap; modules that would take longer than an even share are
  /// shared by several ranks.
  public func expectedSeconds(_ plan: ExtractionPlan, rankCount: Int) -> Double {
    let operations = plan.costs.reduce(0) { $0 + $1.operations }
    let dearest = plan.costs.map { $0.operations / Double(min(rankCount, $0.largestTeam)) }.max() ?? 0
    let computing = max(operations / Double(rankCount), dearest) / operationsPerSecond
    return max(computing, Double(plan.byteCount) / bytesPerSecond)
  }
}

private func measureDecomposition() throws -> Double {
  let order = 1024
  let random = CounterRandom(seed: 0, name: "calibration")
  var matrix = Matrix<Float>(uniform: random, rows: order, columns: order)
  let options = TruncatedSVD.Options(rank: 32, tolerance: 0.5, method: .krylov, random: random)
  let cost = ModuleCost(rows: order, columns: order, rank: 32, method: .krylov, byteCount: 0)
  var best = Double.infinity
  for _ in 0..<3 {
    let start = secondsNow()
    let svd = try TruncatedSVD(of: &matrix, options: options)
    // The price is for five steps and the triplets; noise may have taken more or fewer.
    best = min(best, (secondsNow() - start) * 6 / Double(svd.report.passes))
  }
  return cost.operations / best
}

private func measureReading(_ plan: ExtractionPlan) throws -> Double {
  let reader = DeltaReader()
  let budget = 64 << 20
  let start = secondsNow()
  for module in plan.modules.sorted(by: { $0.pair.byteCount > $1.pair.byteCount })
  where reader.bytesRead == 0 || reader.bytesRead + module.pair.byteCount <= budget {
    // The bytes only: a plan from headers alone is not to fail on what the weights hold.
    if let base = module.pair.base { _ = try reader.readBytes(base) }
    _ = try reader.readBytes(module.pair.tuned)
  }
  return Double(reader.bytesRead) / max(1e-6, secondsNow() - start)
}
