internal import Foundation

/// One model on disk: its tensors, in one safetensors file or in shards with an index.
public struct Checkpoint: Sendable {
  /// The folder or file that was given.
  public let path: String
  /// The files with tensors, sorted.
  public let files: [String]
  /// Every tensor by name.
  public let tensors: [String: TensorLocation]

  /// The tensors' names, sorted.
  public var sortedNames: [String] { tensors.keys.sorted() }

  /// Reads the headers of a model and checks them; no weight is read.
  ///
  /// In a folder, `model.safetensors` comes first, as in Transformers, then `model.safetensors.index.json`, then
  /// any other single index or safetensors file.
  /// - Throws: `CheckpointError` with what is wrong and what to give instead.
  public static func open(_ path: String) throws -> Checkpoint {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw CheckpointError.notFound(path: path)
    }
    let folder = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    let tensors: [String: TensorLocation]
    if !isFolder.boolValue {
      guard path.hasSuffix(".safetensors") else { throw CheckpointError.notACheckpoint(path: path) }
      tensors = try readSingle(path)
    } else {
      switch try weights(inFolder: folder) {
      case .single(let file): tensors = try readSingle(file)
      case .sharded(let index): tensors = try ShardIndex(path: index).tensors(folder: folder)
      }
    }
    return Checkpoint(path: path, files: Set(tensors.values.map(\.filePath)).sorted(), tensors: tensors)
  }

  /// The same model with one tensor under a second name: one more tensor that lies where the other does.
  ///
  /// For a head that shares the embedding's weights and is to get its own.
  package func repeating(_ tensor: TensorLocation, as name: String) -> Checkpoint {
    var tensors = tensors
    tensors[name] = tensor.renamed(name)
    return Checkpoint(path: path, files: files, tensors: tensors)
  }

  private static func readSingle(_ file: String) throws -> [String: TensorLocation] {
    let header = try SafetensorsHeader.read(path: file)
    return Dictionary(uniqueKeysWithValues: header.tensors.map { ($0.name, $0) })
  }
}

/// The file that tells what a folder's weights are.
private enum Weights {
  case single(String)
  case sharded(String)
}

private func weights(inFolder folder: String) throws -> Weights {
  let entries: [String]
  do { entries = try FileManager.default.contentsOfDirectory(atPath: folder).sorted() } catch {
    throw CheckpointError.system(path: folder, operation: "list", errorNumber: EACCES)
  }
  guard !entries.isEmpty else { throw CheckpointError.emptyFolder(path: folder) }
  if entries.contains("model.safetensors") { return .single(folder + "/model.safetensors") }
  let indexes = entries.filter { $0.hasSuffix(".safetensors.index.json") }
  if indexes.contains("model.safetensors.index.json") || indexes.count == 1 {
    let name = indexes.contains("model.safetensors.index.json") ? "model.safetensors.index.json" : indexes[0]
    return .sharded(folder + "/" + name)
  }
  let files = entries.filter { $0.hasSuffix(".safetensors") }
  if files.count == 1 { return .single(folder + "/" + files[0]) }
  guard files.isEmpty else { throw CheckpointError.noIndex(path: folder, files: files) }
  let pickled = entries.first { name in [".bin", ".pt", ".pth"].contains { name.hasSuffix($0) } }
  if let pickled { throw CheckpointError.pickledOnly(path: folder, example: pickled) }
  throw CheckpointError.noWeights(path: folder, entryCount: entries.count)
}
