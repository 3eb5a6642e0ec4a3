public import Checkpoints
internal import Foundation
internal import LinearAlgebra

/// `report.json` of a job of single units: how it went.
public struct UnitReport<Request: Codable & Equatable & Sendable>: Sendable, Codable {
  /// What was asked for.
  public let request: Request
  /// The program's version.
  public let version: String
  /// OpenBLAS's version, build and kernels on rank 0.
  public let blas: String
  /// What came of it, in a few words.
  public let result: String
  /// Wall-clock seconds of this run, from the plan's end to the last file.
  public let seconds: Double
  /// The files of the models, as they were.
  public let inputs: [InputFile]
  /// The number of units.
  public let unitCount: Int
  /// Units that earlier runs of the job had finished before they were interrupted.
  public let carriedOverCount: Int
  /// Bytes read from the models by this run.
  public let bytesRead: Int
  /// How each rank spent this run.
  public let ranks: [RankStatistics]

  init(_ request: Request, result: String, of plan: some UnitPlan, _ journal: Journal, _ run: UnitRun) {
    let units = plan.jobUnits
    let carriedOver = journal.carriedOver
    self.request = request
    version = run.version
    blas = "\(BLASLibrary.configuration) (\(BLASLibrary.coreName))"
    self.result = result
    seconds = secondsNow() - run.start
    inputs = plan.inputs
    unitCount = units.count
    carriedOverCount = carriedOver.count
    bytesRead = units.enumerated().reduce(0) {
      carriedOver.contains($1.offset) ? $0 : $0 + $1.element.byteCount
    }
    ranks = run.ranks
  }

  /// The report of a folder that this very job has completed; nil if it holds anything else.
  ///
  /// - Parameters:
  ///   - path: The output folder.
  ///   - request: What was asked for.
  ///   - inputs: The files of the models, as they are.
  ///   - version: The program's version.
  /// - Returns: The report as it was written.
  public static func completed(at path: String, _ request: Request, inputs: [InputFile], version: String)
    -> UnitReport?
  {
    guard let data = FileManager.default.contents(atPath: path + "/report.json"),
      let report = try? JSONDecoder().decode(UnitReport.self, from: data)
    else { return nil }
    let isSame = report.version == version && report.inputs == inputs && report.request == request
    return isSame ? report : nil
  }

  /// The line a person wants to read at the end.
  public var summary: String {
    let gigabytes = Double(bytesRead) / 1e9
    return [
      result, String(format: "%.2f s", seconds),
      String(format: "%.2f GB read (%.2f GB/s)", gigabytes, gigabytes / max(seconds, 1e-9)),
    ].joined(separator: ", ")
  }
}
