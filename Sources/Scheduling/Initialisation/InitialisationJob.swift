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
  ///   - onProgress: Called on rank 0 after each module with the modules that are finished.
  /// - Returns: On rank 0 the record; elsewhere nil.
  /// - Throws: On rank 0 the first error of any rank; the folder is then not published.
  public func run(
    on world: borrowing Communicator, into folder: OutputFolder?,
    notify: @escaping @Sendable (String) -> Void,
    onProgress: (Set<Int>) -> Void
  ) throws -> InitialisationRecord? {
    guard world.rank == 0, let folder else {
      try fill(nil, on: world, notify: notify) { _ in }
      return nil
    }
    let output = try JournaledOutput(
      folder, identity: plan.identity(version: versionText), unitCount: plan.modules.count,
      unitName: "modules", notify: notify)
    return try output.publish { journal in
      try fill(journal, on: world, notify: notify) { finished in
        try folder.checkLock()
        onProgress(finished)
      }
      try folder.clearContents()
      return try write(journal, into: folder)
    }
  }

  /// Collective: does every module that a journal does not have yet, and leaves its result there, durable.
  private func fill(
    _ journal: Journal?, on world: borrowing Communicator, notify: (String) -> Void,
    onProgress: (Set<Int>) throws -> Void
  ) throws {
    try plan.inputs.checkOnAllHosts(world, notify: notify)
    let known = Array(try JSONEncoder().encode((journal?.carriedOver ?? []).sorted()))
    var finished = Set(
      try JSONDecoder().decode([Int].self, from: Data(try world.broadcast(known, root: 0))))
    let job = DistributedJob(
      InitialisationWork(plan, threadCount: resources.threadCount), units: plan.modules.map(jobUnit),
      finished: finished, headCoordinates: resources.headCoordinates, threadCount: resources.threadCount)
    _ = try job.run(on: world, canCollect: { !(journal?.isFull ?? false) }) { unit, bytes in
      try journal?.append(unit, bytes)
      finished.insert(unit)
      try onProgress(finished)
    }
    try journal?.flush()
    if journal != nil { try plan.inputs.checkUnchanged() }
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
      guard let bytes = try journal.read(unit) else {
        preconditionFailure("every module is finished when the folder is written")
      }
      let result = try InitialisationResult(decoding: bytes)
      try emission.write(result, module: unit)
      records.append(result.record)
    }
    try emission.finish()
    let record = InitialisationRecord(plan, version: versionText, modules: records)
    try writeDurably(record.encoded(), to: folder.contentsPath + "/" + InitialisationRecord.fileName)
    return record
  }
}
