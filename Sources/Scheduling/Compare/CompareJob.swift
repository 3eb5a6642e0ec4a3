public import Analysis
internal import Foundation
public import MPI
internal import WeightSources

/// A comparison: from a plan to a folder, over all ranks.
public struct CompareJob {
  private let plan: ComparePlan
  private let resources: JobResources
  private let versionText: String

  /// A job of a plan, which is the same on every rank; the version goes into the report.
  public init(_ plan: ComparePlan, resources: JobResources, version: String) {
    self.plan = plan
    self.resources = resources
    versionText = version
  }

  /// Collective: compares every module and writes the folder on rank 0.
  ///
  /// What an interrupted run of the same job has finished is in the folder's journal and not done again.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - folder: Rank 0's output; nil on the others.
  ///   - notify: Called on rank 0 with sentences for a person; by a signal's thread too.
  ///   - onProgress: Called on rank 0 after each module.
  /// - Returns: On rank 0 the report and what was found; elsewhere nil.
  /// - Throws: On rank 0 the first error of any rank; the folder is then not published.
  public func run(
    on world: borrowing Communicator, into folder: OutputFolder?,
    notify: @escaping @Sendable (String) -> Void, onProgress: (UnitProgress) -> Void
  ) throws -> CompareOutcome? {
    let start = secondsNow()
    try plan.checkMemory(resources)
    let job = JournaledJob(
      work: CompareWork(plan), units: plan.jobUnits, inputs: plan.inputs,
      identity: plan.identity(version: versionText), unitName: "modules",
      headCoordinates: resources.headCoordinates)
    return try job.run(on: world, into: folder, notify: notify, onProgress: onProgress) { journal, ranks in
      guard let folder else { preconditionFailure("rank 0 has a folder") }
      let record = try record(journal)
      let report = UnitReport(
        plan.request, version: versionText, result: record.result, inputs: plan.inputs, units: plan.jobUnits,
        carriedOver: journal.carriedOver, ranks: ranks, seconds: secondsNow() - start)
      let contents = folder.contentsPath
      try writeDurably(encodedJSON(record), to: contents + "/comparison.json")
      try writeDurably(Data(record.table.utf8), to: contents + "/comparison.csv")
      try writeDurably(encodedJSON(report), to: contents + "/report.json")
      return CompareOutcome(report: report, record: record)
    }
  }

  private func record(_ journal: Journal) throws -> ComparisonRecord {
    var modules: [Int: ComparisonRecord.Module] = [:]
    for (unit, number) in plan.units.enumerated() {
      let module = plan.modules[number]
      let result = try JSONDecoder().decode(CompareWork.Result.self, from: Data(journal.result(unit)))
      modules[number] = ComparisonRecord.Module(
        module: module.name, type: groupedType(ofModule: module.name), shape: module.pair.shape,
        update: result.update, intruders: result.intruders)
    }
    return ComparisonRecord(
      base: plan.request.basePath, tuned: plan.request.tunedPath, cosineLimit: plan.request.cosineLimit,
      modules: plan.modules.indices.compactMap { modules[$0] })
  }
}

/// What a comparison gives back on rank 0.
public struct CompareOutcome: Sendable {
  /// How it went.
  public let report: UnitReport<CompareRequest>
  /// What was found.
  public let record: ComparisonRecord
}
