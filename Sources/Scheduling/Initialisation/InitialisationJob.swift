internal import Checkpoints
internal import Foundation
internal import LinearAlgebra
public import MPI

/// An initialisation: from a plan to a folder, over all ranks.
public struct InitialisationJob {
  private let plan: InitialisationPlan
  private let resources: JobResources
  private let versionText: String

  /// A job of a plan; the version goes into the record.
  public init(_ plan: InitialisationPlan, resources: JobResources, version: String) {
    self.plan = plan
    self.resources = resources
    versionText = version
  }

  /// Collective: takes every module apart and writes the folder on rank 0.
  ///
  /// What an interrupted run of the same job has finished is in the folder's journal and not done again.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - folder: Rank 0's output; nil on the others.
  ///   - notify: Called on rank 0 with sentences for a person; by a signal's thread too.
  ///   - onProgress: Called on rank 0 after each module.
  /// - Returns: On rank 0 the record; elsewhere nil.
  /// - Throws: On rank 0 the first error of any rank; the folder is then not published.
  public func run(
    on world: borrowing Communicator, into folder: OutputFolder?,
    notify: @escaping @Sendable (String) -> Void,
    onProgress: (UnitProgress) -> Void
  ) throws -> InitialisationRecord? {
    let job = JournaledJob(
      work: InitialisationWork(plan, threadCount: resources.threadCount),
      units: plan.modules.map(jobUnit), inputs: plan.inputs, identity: plan.identity(version: versionText),
      unitName: "modules", headCoordinates: resources.headCoordinates, threadCount: resources.threadCount)
    return try job.run(on: world, into: folder, notify: notify, onProgress: onProgress) { journal, _ in
      guard let folder else { preconditionFailure("rank 0 has a folder") }
      return try write(journal, into: folder)
    }
  }

  private func jobUnit(_ module: InitialisationPlan.Module) -> JobUnit {
    JobUnit(
      cost: module.cost, path: module.weight.filePath, offset: module.weight.offset,
      byteCount: module.byteCount)
  }

  /// Makes the folder's files from the journal, one module in memory at a time.
  private func write(_ journal: Journal, into folder: OutputFolder) throws -> InitialisationRecord {
    var emission = try InitialisationEmission(plan, folder: folder)
    var records: [InitialisedModule] = []
    for unit in plan.modules.indices {
      let result = try InitialisationResult(decoding: journal.result(unit))
      try emission.write(result, module: unit)
      records.append(result.record)
    }
    try emission.finish()
    let record = InitialisationRecord(plan, version: versionText, modules: records)
    try writeDurably(record.encoded(), to: folder.contentsPath + "/" + InitialisationRecord.fileName)
    return record
  }
}
