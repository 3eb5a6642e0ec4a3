public import Analysis
internal import Foundation
internal import WeightSources

extension ComparePlan: UnitPlan {
  /// Finds the rank of a module's update, and its intruders.
  public func work(threadCount: Int) -> any UnitWork { CompareWork(self) }

  /// Makes `comparison.json`, `comparison.csv` and `report.json`.
  public func write(_ journal: Journal, into folder: OutputFolder, _ run: UnitRun) throws -> CompareOutcome {
    let contents = folder.contentsPath
    let record = try record(journal)
    let report = UnitReport(request, result: record.result, of: self, journal, run)
    try writeDurably(encodedJSON(record), to: contents + "/comparison.json")
    try writeDurably(Data(record.table.utf8), to: contents + "/comparison.csv")
    try writeDurably(encodedJSON(report), to: contents + "/report.json")
    return CompareOutcome(report: report, record: record)
  }

  private func record(_ journal: Journal) throws -> ComparisonRecord {
    var records: [Int: ComparisonRecord.Module] = [:]
    for (unit, number) in units.enumerated() {
      let module = modules[number]
      let result = try JSONDecoder().decode(CompareWork.Result.self, from: Data(journal.result(unit)))
      records[number] = ComparisonRecord.Module(
        module: module.name, type: groupedType(ofModule: module.name), shape: module.pair.shape,
        update: result.update, intruders: result.intruders)
    }
    return ComparisonRecord(
      base: request.basePath, tuned: request.tunedPath, cosineLimit: request.cosineLimit,
      modules: modules.indices.compactMap { records[$0] })
  }

  /// The summary of a finished comparison by the same options.
  public func completedSummary(at path: String, version: String) -> String? {
    UnitReport.completed(at: path, request, inputs: inputs, version: version)?.summary
  }
}

/// What a comparison gives back on rank 0.
public struct CompareOutcome: Sendable {
  /// How it went.
  public let report: UnitReport<CompareRequest>
  /// What was found.
  public let record: ComparisonRecord
}
