/// A job that writes a model anew, tensor by tensor, on one rank.
public protocol RewritingJob {
  /// Fills a folder and publishes it.
  ///
  /// Files of the model that an interrupted run of the same job has finished are not written again.
  ///
  /// - Parameters:
  ///   - folder: The output.
  ///   - notify: Called with sentences for a person; by a signal's thread too.
  ///   - onProgress: Called after each tensor.
  /// - Returns: What was done.
  /// - Throws: `JobStopped` after a signal, what is wrong with the inputs, or what the device has against the output; the
  ///   folder is then not published.
  func run(
    into folder: OutputFolder, notify: @escaping @Sendable (String) -> Void,
    onProgress: (RewritingProgress) -> Void
  ) throws -> RewritingReport

  /// What to say of a folder that this very job has completed; nil if it holds anything else.
  func completedSummary(at path: String) -> String?
}
