extension OutputFolder {
  /// Publishes the folder if its contents can be made, and removes everything otherwise: for seconds of work.
  ///
  /// - Parameter make: Fills the contents, which are empty.
  /// - Returns: What it returned.
  /// - Throws: `OutputError.otherJob` or `.unknownJob` if an interrupted job has left finished work there, which stays;
  ///   what `make` throws, or what the device has against it.
  public func publishing<Result>(_ make: () throws -> Result) throws -> Result {
    try refuseFinishedWork()
    do {
      try clearContents()
      let result = try make()
      try checkLock()
      try publish()
      return result
    } catch {
      discard()
      throw error
    }
  }

  /// Sees that no interrupted job has left finished work there: for a job that keeps none and would remove it.
  ///
  /// - Throws: `OutputError.otherJob` or `.unknownJob` if one has.
  package func refuseFinishedWork() throws { try Journal.refuseWork(in: journalPath) }
}
