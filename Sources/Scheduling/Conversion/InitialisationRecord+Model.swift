internal import Checkpoints

extension InitialisationRecord {
  /// Holds a model against the one that init read, file by file: sizes, headers and dates, not weights.
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
    let differences = files.compactMap { file in difference(of: file, among: files).map { (file, $0) } }
    guard let (first, difference) = differences.first else { return [] }
    let isSame = files.allSatisfy { file in
      before(file, among: files).map { $0.size == file.size && $0.header == file.header } ?? false
    }
    guard isGiven || isSame else {
      throw ConversionError.changedModel(path: first.path, difference: difference)
    }
    let others = differences.count > 1 ? ", and \(differences.count - 1) more files differ" : ""
    return [
      "\(first.path) \(difference), when init read the model\(others); what was not trained comes from here"
    ]
  }

  private func difference(of file: InputFile, among files: [InputFile]) -> String? {
    guard let before = before(file, among: files) else { return "is none of the files that were there then" }
    return file.difference(since: before)
  }

  /// What init read under a file's name; the only file of a model has any name.
  private func before(_ file: InputFile, among files: [InputFile]) -> InputFile? {
    let read = inputs.filter(\.holdsTensors)
    if files.count == 1 && read.count == 1 { return read[0] }
    return read.first { Checkpoints.fileName($0.path) == Checkpoints.fileName(file.path) }
  }
}

extension InputFile {
  fileprivate var holdsTensors: Bool { path.hasSuffix(".safetensors") }
}
