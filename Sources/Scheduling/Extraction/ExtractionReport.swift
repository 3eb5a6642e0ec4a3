public import Adapters
public import Foundation
internal import WeightSources

/// `report.json`: everything measured about one extraction, and the numbers a person asks for first.
public struct ExtractionReport: Sendable, Codable {
  /// What was asked for.
  public let request: ExtractionRequest
  /// The program's version.
  public let version: String
  /// OpenBLAS's version, build and kernels on rank 0.
  public let blas: String
  /// Wall-clock seconds from the plan's end to the last file.
  public let seconds: Double
  /// Bytes read from both models.
  public let bytesRead: Int
  /// One record a module, in the plan's order.
  public let modules: [ModuleRecord]
  /// One record for each tensor that was not decomposed.
  public let leftOut: [LeftOutRecord]
  /// Sentences of the plan.
  public let notes: [String]
  /// How each rank spent the job.
  public let ranks: [RankStatistics]

  /// ‖Δ‖² over all modules.
  public var energy: Double { modules.reduce(0) { $0 + $1.energy } }
  /// Share of that energy in the factors as written.
  public var energyKept: Double {
    let left = modules.reduce(0) { $0 + $1.writtenResidual * $1.writtenResidual }
    return energy > 0 ? 1 - left / energy : 1
  }
  /// Modules with factors.
  public var adaptedCount: Int { modules.filter { $0.rank > 0 }.count }
  /// The module that keeps the least of its energy.
  public var worst: ModuleRecord? { modules.filter { $0.rank > 0 }.min { $0.energyKept < $1.energyKept } }

  /// The line a person wants to read at the end.
  public var summary: String {
    let gigabytes = Double(bytesRead) / 1e9
    var parts = [
      "\(adaptedCount) of \(modules.count) modules",
      String(format: "%.2f s", seconds),
      String(format: "%.2f GB read (%.2f GB/s)", gigabytes, gigabytes / max(seconds, 1e-9)),
      String(format: "%.2f %% of the energy kept", 100 * energyKept),
    ]
    if let worst {
      parts.append(String(format: "worst %@ %.2f %%", worst.module, 100 * worst.energyKept))
    }
    let unfinished = modules.filter { !$0.isConverged }.count
    if unfinished > 0 { parts.append("\(unfinished) modules above the tolerance") }
    return parts.joined(separator: ", ")
  }

  /// The file's bytes.
  public func encoded() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self) + Data("\n".utf8)
  }
}
