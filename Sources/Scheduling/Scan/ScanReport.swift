public import Checkpoints
internal import Foundation
internal import LinearAlgebra

/// `report.json`: how a scan went.
public struct ScanReport: Sendable, Codable {
  /// What was asked for.
  public let request: ScanRequest
  /// The program's version.
  public let version: String
  /// OpenBLAS's version, build and kernels on rank 0.
  public let blas: String
  /// Wall-clock seconds of this run, from the plan's end to the last file.
  public let seconds: Double
  /// The files of the model, as they were.
  public let inputs: [InputFile]
  /// The number of modules.
  public let moduleCount: Int
  /// Modules that earlier runs of the job had finished before they were interrupted.
  public let carriedOverCount: Int
  /// Bytes read from the model by this run.
  public let bytesRead: Int
  /// Modules that are selected.
  public let selectedCount: Int
  /// How each rank spent this run.
  public let ranks: [RankStatistics]

  init(
    _ plan: ScanPlan, version: String, selectedCount: Int, carriedOver: Set<Int>, ranks: [RankStatistics],
    seconds: Double
  ) {
    request = plan.request
    self.version = version
    blas = "\(BLASLibrary.configuration) (\(BLASLibrary.coreName))"
    self.seconds = seconds
    inputs = plan.inputs
    moduleCount = plan.modules.count
    carriedOverCount = carriedOver.count
    bytesRead = plan.units.enumerated().reduce(0) { sum, entry in
      carriedOver.contains(entry.offset) ? sum : sum + plan.modules[entry.element].weight.byteCount
    }
    self.selectedCount = selectedCount
    self.ranks = ranks
  }

  /// The report of a folder that this very job has completed; nil if it holds anything else.
  public static func completed(at path: String, _ plan: ScanPlan, version: String) -> ScanReport? {
    guard let data = FileManager.default.contents(atPath: path + "/report.json"),
      let report = try? JSONDecoder().decode(ScanReport.self, from: data)
    else { return nil }
    let isSame = report.version == version && report.inputs == plan.inputs && report.request == plan.request
    return isSame ? report : nil
  }

  /// The line a person wants to read at the end.
  public var summary: String {
    let gigabytes = Double(bytesRead) / 1e9
    return [
      "\(selectedCount) of \(moduleCount) modules selected", String(format: "%.2f s", seconds),
      String(format: "%.2f GB read (%.2f GB/s)", gigabytes, gigabytes / max(seconds, 1e-9)),
    ].joined(separator: ", ")
  }
}
