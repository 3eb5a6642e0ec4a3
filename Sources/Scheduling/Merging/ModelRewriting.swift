internal import Checkpoints
internal import Foundation

/// How far the writing of a model has come.
public struct RewritingProgress: Sendable {
  /// Tensors written.
  public internal(set) var finishedCount = 0
  /// All tensors.
  public let tensorCount: Int
  /// Their bytes.
  public internal(set) var bytesDone = 0
  /// Bytes of all tensors.
  public let byteCount: Int
}

/// What the writing of a model took.
public struct RewritingReport: Sendable {
  /// Tensors that are not those of the source.
  public let changedCount: Int
  /// All tensors.
  public let tensorCount: Int
  /// Bytes of all tensors.
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

/// Writes a model anew into a folder's contents, with other values for the tensors for which there are some.
func rewrite(
  _ model: Checkpoint, into folder: OutputFolder, shardSize: Int?,
  onProgress: (RewritingProgress) -> Void, replacing: (TensorLocation) throws -> [UInt8]?
) throws -> RewritingReport {
  let start = secondsNow()
  let inputs = try model.inputFiles()
  try folder.clearContents()
  var progress = RewritingProgress(
    tensorCount: model.tensors.count, byteCount: model.tensors.values.reduce(0) { $0 + $1.byteCount })
  var changedCount = 0
  let writer = try CheckpointWriter(of: model, into: folder.contentsPath, shardSize: shardSize)
  try writer.finish { tensor in
    let bytes = try replacing(tensor)
    if bytes != nil { changedCount += 1 }
    progress.finishedCount += 1
    progress.bytesDone += tensor.byteCount
    onProgress(progress)
    return bytes
  }
  try inputs.checkUnchanged()
  return RewritingReport(
    changedCount: changedCount, tensorCount: progress.tensorCount, byteCount: progress.byteCount,
    seconds: secondsNow() - start)
}

extension OutputFolder {
  /// Publishes the folder if its contents can be made, and removes everything otherwise.
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
