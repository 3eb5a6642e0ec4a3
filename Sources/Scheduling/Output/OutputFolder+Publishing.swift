extension OutputFolder {
  /// Publishes the folder if its contents can be made, and removes everything otherwise: for seconds of work.
  func publishing<Result>(_ make: () throws -> Result) throws -> Result {
    do {
      let result = try make()
      try checkLock()
      try publish()
      return result
    } catch {
      discard()
      throw error
    }
  }
}
