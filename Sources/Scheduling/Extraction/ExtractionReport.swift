public import Adapters
public import Checkpoints
public import Foundation
internal import LinearAlgebra
internal import WeightSources

/// `report.json`: everything measured about one extraction, and the numbers a person asks for first.
public struct ExtractionReport: Sendable, Codable {
  /// What was asked for.
  public let request: ExtractionRequest
  /// What was made of the decompositions.
  public let product: ExtractionPlan.Product
  /// The program's version.
  public let version: String
  /// OpenBLAS's version, build and kernels on rank 0.
  public let blas: String
  /// Wall-clock seconds of this run, from the plan's end to the last file.
  public let seconds: Double
  /// The files of both models, as they were.
  public let inputs: [InputFile]
  /// Units, tensors that is, that earlier runs of the job had finished before they were interrupted.
  public let carriedOverCount: Int
  /// Bytes read from both models by this run.
  public let bytesRead: Int
  /// One record a module, in the plan's order.
  public let modules: [ModuleRecord]
  /// One record for each tensor that was not decomposed.
  public let leftOut: [LeftOutRecord]
  /// Sentences of the plan.
  public let notes: [String]
  /// How each rank spent this run.
  public let ranks: [RankStatistics]

  package init(
    _ plan: ExtractionPlan, version: String, records: AdapterEmission.Records, carriedOver: Set<Int>,
    ranks: [RankStatistics], seconds: Double
  ) {
    request = plan.request
    product = plan.product
    self.version = version
    blas = "\(BLASLibrary.configuration) (\(BLASLibrary.coreName))"
    self.seconds = seconds
    inputs = plan.inputs
    carriedOverCount = carriedOver.count
    bytesRead = plan.units.enumerated().reduce(0) { sum, entry in
      carriedOver.contains(entry.offset) ? sum : sum + plan.price(of: entry.element).byteCount
    }
    modules = records.modules
    leftOut = records.leftOut
    notes = plan.notes + records.notes
    self.ranks = ranks
  }

  /// The report of a folder that this very job has completed; nil if it holds anything else.
  ///
  /// - Parameters:
  ///   - path: The output folder.
  ///   - plan: What the job is.
  ///   - version: The program's version.
  /// - Returns: The report as it was written.
  public static func completed(at path: String, _ plan: ExtractionPlan, version: String) -> ExtractionReport?
  {
    guard let data = FileManager.default.contents(atPath: path + "/report.json"),
      let report = try? JSONDecoder().decode(ExtractionReport.self, from: data)
    else { return nil }
    let isSame =
      report.version == version && report.inputs == plan.inputs && report.request == plan.request
      && report.product == plan.product
    return isSame ? report : nil
  }

  /// ‖Δ‖² over all modules.
  public var energy: Double { modules.energy }
  /// Share of that energy in the factors as written.
  public var energyKept: Double { modules.energyKept }
  /// Modules with factors.
  public var adaptedCount: Int { modules.adaptedCount }
  /// The module that keeps the least of its energy.
  public var worst: ModuleRecord? { modules.worst }

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
