internal import Checkpoints

extension InitialisationRecord {
  /// Holds a model against the one that init read, file by file: sizes, headers and dates, not weights.
  ///
  /// A file of another date may hold other weights: nobody knows but who changed it.
  ///
  /// - Parameters:
  ///   - model: What what was trained is to be put together with.
  ///   - isGiven: Whether a person named it, who then may want another model, such as the original in another type;
  ///     otherwise it lies where init found it, and must still be the same.
  /// - Returns: What a person should know, a sentence each.
  /// - Throws: `ConversionError.changedModel` for one that was changed where it lay, `CheckpointError` if a file cannot be
  ///   read.
  func notes(on model: Checkpoint, isGiven: Bool) throws -> [String] {
    let files = try model.inputFiles().filter(\.holdsTensors)
    let differences =
      files.compactMap { file in difference(of: file, among: files).map { (file.path, $0) } }
      + missing(among: files).map {
        (model.path, "has no file \(Checkpoints.fileName($0.path)), as it had then")
      }
    guard let (path, difference) = differences.first else { return [] }
    guard isGiven else { throw ConversionError.changedModel(path: path, difference: difference) }
    let others =
      differences.count > 1
      ? ", and \(moreFiles(differences.count - 1)) \(differences.count == 2 ? "differs" : "differ")" : ""
    return [
      "\(path) \(difference), when init read the model\(others); what was not trained comes from \(model.path)"
    ]
  }

  /// What init read of which the model has no file any more.
  private func missing(among files: [InputFile]) -> [InputFile] {
    let found = files.compactMap { before($0, among: files)?.path }
    return readTensorFiles.filter { !found.contains($0.path) }
  }

  private var readTensorFiles: [InputFile] { inputs.filter(\.holdsTensors) }

  private func difference(of file: InputFile, among files: [InputFile]) -> String? {
    guard let before = before(file, among: files) else { return "is none of the files that were there then" }
    return file.difference(since: before)
  }

  /// What init read under a file's name; the only file of a model has any name.
  private func before(_ file: InputFile, among files: [InputFile]) -> InputFile? {
    let read = readTensorFiles
    if files.count == 1 && read.count == 1 { return read[0] }
    return read.first { Checkpoints.fileName($0.path) == Checkpoints.fileName(file.path) }
  }
}

extension InputFile {
  fileprivate var holdsTensors: Bool { path.hasSuffix(".safetensors") }
}
