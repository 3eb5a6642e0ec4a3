internal import Foundation

/// The files beside a model's weights without which it cannot be used: configuration, tokenizer, generation settings.
enum ModelCompanions {
  /// By extension, since tokenizers come under many names; weights and pickles have none of these.
  private static let extensions: Set = ["json", "jinja", "model", "py", "tiktoken", "txt"]
  /// What would speak of other weights than those written.
  private static let foreignEndings = [
    ".index.json", "adapter_config.json", "trainer_state.json", "unbraid.json",
  ]

  /// Their paths, sorted.
  ///
  /// - Throws: `CheckpointError.system` if the folder cannot be listed.
  static func files(of source: Checkpoint) throws -> [String] {
    let folder = parentFolder(of: ModelConfiguration.path(modelPath: source.path))
    let names: [String]
    do { names = try FileManager.default.contentsOfDirectory(atPath: folder) } catch {
      throw CheckpointError.system(path: folder, operation: "list", errorNumber: EACCES)
    }
    return names.sorted().filter(belongsToModel).map { folder + "/" + $0 }.filter(isFile)
  }

  private static func belongsToModel(_ name: String) -> Bool {
    guard let dot = name.lastIndex(of: "."), !name.hasPrefix(".") else { return false }
    return extensions.contains(String(name[dot...].dropFirst()))
      && !foreignEndings.contains { name.hasSuffix($0) }
  }

  /// Links count as what they lead to: a download's folder is made of them.
  private static func isFile(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && !isFolder.boolValue
  }
}
