internal import Checkpoints
internal import Foundation

/// A model that is written anew, with other values for some of its tensors: file by file, on one rank.
///
/// A file that is finished is not written again: an interrupted run leaves it in the folder's contents, and in the
/// journal what it is known by.
struct ModelRewriting {
  let model: Checkpoint
  /// The greatest number of bytes of tensors in a file; nil keeps the model's files.
  var shardSize: Int?
  /// What the new values are made from, beside the model's own files.
  let otherInputs: [InputFile]
  /// The options as they were resolved, named as on the command line, and the program's version.
  let options: [(name: String, value: String)]
  /// What may change the last bits of the new values.
  var circumstances: [(name: String, value: String)] = []

  /// Fills a folder and publishes it.
  ///
  /// - Parameters:
  ///   - folder: The output.
  ///   - notify: Called with sentences for a person; by a signal's thread too.
  ///   - onProgress: Called after each tensor.
  ///   - complete: Called with the path of the contents when all of the model is there.
  ///   - replacing: A tensor's new values; nil if it stays as it is.
  /// - Returns: What was done.
  /// - Throws: `JobStopped` after a signal, what the closures throw, or what the device has against the output; the
  ///   folder is then not published.
  func run(
    into folder: OutputFolder, notify: @escaping @Sendable (String) -> Void,
    onProgress: (RewritingProgress) -> Void = { _ in }, complete: (String) throws -> Void = { _ in },
    replacing: (TensorLocation) throws -> [UInt8]?
  ) throws -> RewritingReport {
    let start = secondsNow()
    let writer = try CheckpointWriter(of: model, into: folder.contentsPath, shardSize: shardSize)
    let files = writer.files
    let identity = try identity(files)
    let output = try JournaledOutput(
      folder, identity: identity, unitCount: files.count, unitName: "files",
      problem: { number, bytes in
        try writer.difference(ofFile: number, to: FinishedFile(decoding: bytes))
          .map { $0 + "; it is written again" }
      },
      notify: notify)
    return try output.publish { journal in
      try folder.clearContents(keeping: Set(journal.carriedOver.map { files[$0].name }))
      let left = files.indices.filter { !journal.carriedOver.contains($0) }
      var progress = RewritingProgress(left.map { files[$0] })
      var stop = JobStop()
      for number in left {
        try stop.leaveIfAsked(withinUnit: false)
        let file = try writer.finishFile(number) { tensor in
          try stop.leaveIfAsked(withinUnit: true)
          let values = try replacing(tensor)
          progress.finish(tensor)
          onProgress(progress)
          return values
        }
        try journal.append(number, file.encoded())
        try journal.flush()
        try folder.checkLock()
      }
      try identity.inputs.checkUnchanged()
      try writer.finishFolder()
      try complete(folder.contentsPath)
      let report = RewritingReport(
        changedCount: try files.indices.reduce(0) {
          $0 + (try FinishedFile(decoding: journal.result($1)).replacedCount)
        },
        tensorCount: model.tensors.count, byteCount: progress.byteCount, seconds: secondsNow() - start)
      try RewritingRecord(identity, report).write(folder: folder.contentsPath)
      return report
    }
  }

  /// What to say of a folder that this very job has completed; nil if it holds anything else.
  func completedSummary(at path: String) throws -> String? {
    let record = RewritingRecord.read(folder: path)
    let files = try CheckpointWriter(of: model, into: path, shardSize: shardSize).files
    return try record.flatMap { try $0.isOf(identity(files)) ? $0.summary : nil }
  }

  private func identity(_ files: [ShardLayout.File]) throws -> JobIdentity {
    JobIdentity(
      options: options, inputs: try model.inputFiles() + otherInputs, units: files.map(\.name),
      circumstances: circumstances)
  }
}

/// How far the writing of a model has come.
public struct RewritingProgress: Sendable {
  /// Tensors written.
  public private(set) var finishedCount = 0
  /// All tensors, without those of files that an earlier run has finished.
  public let tensorCount: Int
  /// The bytes of those written.
  public private(set) var bytesDone = 0
  /// The bytes of all.
  public let byteCount: Int

  init(_ files: [ShardLayout.File]) {
    let tensors = files.flatMap(\.tensors)
    tensorCount = tensors.count
    byteCount = tensors.reduce(0) { $0 + $1.byteCount }
  }

  mutating func finish(_ tensor: TensorLocation) {
    finishedCount += 1
    bytesDone += tensor.byteCount
  }
}

/// What the writing of a model took.
public struct RewritingReport: Sendable {
  /// Tensors that are not those of the source.
  public let changedCount: Int
  /// All tensors.
  public let tensorCount: Int
  /// Bytes of the tensors that were written, without those of files that an earlier run has finished.
  public let byteCount: Int
  /// Wall-clock seconds, until all of it was durable.
  public let seconds: Double

  /// The numbers that a person asks for, as one sentence.
  public var summary: String {
    let gigabytes = Double(byteCount) / 1e9
    return "\(changedCount) of \(tensorCount) tensors changed, "
      + String(format: "%.2f GB in %.1f s, %.2f GB/s", gigabytes, seconds, gigabytes / max(seconds, 1e-9))
  }
}

extension FinishedFile {
  fileprivate init(decoding bytes: [UInt8]) throws {
    self = try JSONDecoder().decode(FinishedFile.self, from: Data(bytes))
  }

  fileprivate func encoded() throws -> [UInt8] { Array(try JSONEncoder().encode(self)) }
}

extension JobStop {
  /// Ends a job of one rank if a signal asks for it: between units at once, within one when the time is over.
  ///
  /// - Throws: `JobStopped`.
  fileprivate mutating func leaveIfAsked(withinUnit: Bool) throws {
    // Signals that leave no time have a thread of their own.
    guard StopSignals.urgent == nil else { return }
    if let news = news() { _ = begin(news) }
    if let request, !withinUnit || request.isUrgent || isOverdue { throw JobStopped(request) }
  }
}
