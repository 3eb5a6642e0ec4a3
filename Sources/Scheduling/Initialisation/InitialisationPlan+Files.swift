internal import Checkpoints

extension InitialisationPlan: UnitPlan {
  /// Each module's read and work.
  public var jobUnits: [JobUnit] {
    modules.map { module in
      JobUnit(
        cost: module.cost, path: module.weight.filePath, offset: module.weight.offset,
        byteCount: module.byteCount)
    }
  }

  /// Iterations multiply with all threads.
  public var usesThreads: Bool { true }

  /// Takes a module apart.
  public func work(threadCount: Int) -> any UnitWork { InitialisationWork(self, threadCount: threadCount) }

  /// Makes the folder's files from the journal, one module in memory at a time.
  public func write(_ journal: Journal, into folder: OutputFolder, _ run: UnitRun) throws
    -> InitialisationRecord
  {
    var emission = try InitialisationEmission(self, folder: folder)
    var records: [InitialisedModule] = []
    for unit in modules.indices {
      let result = try InitialisationResult(decoding: journal.result(unit))
      try emission.write(result, module: unit)
      records.append(result.record)
    }
    try emission.finish()
    let record = InitialisationRecord(self, version: run.version, modules: records)
    try writeDurably(record.encoded(), to: folder.contentsPath + "/" + InitialisationRecord.fileName)
    return record
  }

  /// The summary of a finished initialisation by the same options.
  public func completedSummary(at path: String, version: String) -> String? {
    InitialisationRecord.completed(at: path, self, version: version)?.summary
  }
}
