/// A job's output while it is made: a folder, and in it the journal of what is finished.
///
/// Whatever ends the job, finished work is either published or kept for the same command, and a person is told.
public struct JournaledOutput {
  private let folder: OutputFolder
  private let journal: Journal
  private let unitCount: Int
  private let unitName: String
  private let notify: @Sendable (String) -> Void

  /// Opens the journal of a folder.
  ///
  /// - Parameters:
  ///   - folder: Where the job's files will appear.
  ///   - identity: What the job is.
  ///   - unitCount: How many units it has; journal entries with higher numbers are states, not finished units.
  ///   - unitName: What a person calls them, in the plural.
  ///   - problem: Asked for each unit whose result describes what lies elsewhere: what is wrong with that, if anything.
  ///   - notify: Called with sentences for a person; by a signal's thread too.
  /// - Throws: What `Journal` does.
  public init(
    _ folder: OutputFolder, identity: JobIdentity, unitCount: Int, unitName: String,
    problem: (Int, [UInt8]) throws -> String? = { _, _ in nil },
    notify: @escaping @Sendable (String) -> Void
  ) throws {
    self.folder = folder
    self.unitCount = unitCount
    self.unitName = unitName
    self.notify = notify
    journal = try Journal(folder: folder.journalPath, identity: identity, problem: problem)
  }

  /// Lets a job fill the journal and then the folder's contents, and publishes them.
  ///
  /// - Parameter job: What makes the contents; it gets the journal with what earlier runs left in it.
  /// - Returns: What the job returned, once the folder has appeared.
  /// - Throws: What the job threw, or what the device has against it. Finished units stay in the journal unless the
  ///   weights are at fault.
  public func publish<Result>(_ job: (Journal) throws -> Result) throws -> Result {
    StopSignals.prepareExit { [journal, notify, kept = keptSentence] in
      try? journal.flush()
      if journal.finishedCount > 0 { notify(kept(journal)) }
    }
    defer { StopSignals.prepareExit(nil) }
    let result: Result
    do {
      announce()
      result = try job(journal)
      try folder.checkLock()
    } catch {
      journal.close()
      // Unless a signal is ending the process at this moment, which says it already.
      if StopSignals.withdrawExit() { keepOrDiscard(after: error) }
      throw error
    }
    try appear()
    return result
  }

  /// Publishes the folder; a signal that comes now says nothing of kept work, which is gone once the folder is there.
  private func appear() throws {
    if !StopSignals.withdrawExit() { StopSignals.awaitExit() }
    defer { journal.close() }
    do { try folder.publish() } catch {
      keepOrDiscard(after: error)
      throw error
    }
  }

  private func announce() {
    for notice in journal.notices { notify("note: \(notice)") }
    guard !journal.carriedOver.isEmpty else { return }
    if let abandonment = folder.abandonment { notify("note: \(abandonment)") }
    let finished = journal.carriedOver.count { $0 < unitCount }
    notify("carrying on: \(finished) of \(unitCount) \(unitName) were finished before")
  }

  /// Finished work outlives every error but those that make it worthless.
  private func keepOrDiscard(after error: any Error) {
    guard journal.finishedCount > 0, !spoilsFinishedWork(error) else { return folder.discard() }
    notify(keptSentence(journal))
  }

  private var keptSentence: @Sendable (Journal) -> String {
    { [unitCount, unitName, path = folder.partialPath] journal in
      "\(journal.finishedCount(below: unitCount)) of \(unitCount) \(unitName) are finished and kept in \(path)"
    }
  }
}
