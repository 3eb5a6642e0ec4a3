/// `model.safetensors.index.json`: which file holds which tensor.
struct ShardIndex {
  let path: String
  /// File name by tensor name.
  let fileNames: [String: String]

  /// Reads an index and checks it by itself.
  init(path: String) throws {
    let file = try RandomAccessFile(path: path)
    try self.init(bytes: file.bytes(0..<file.size, of: "index"), path: path)
  }

  init(bytes: [UInt8], path: String) throws {
    self.path = path
    let document: StrictJSON
    do { document = try StrictJSON(parsing: bytes) } catch {
      throw CheckpointError.malformedJSON(path: path, position: error.position, problem: error.problem)
    }
    guard case .object(let members) = document,
      case .object(let entries) = members.first(where: { $0.key == "weight_map" })?.value
    else { throw CheckpointError.inconsistentIndex(path: path, problem: "there is no object 'weight_map'") }
    var fileNames: [String: String] = [:]
    for (tensor, value) in entries {
      guard case .string(let name) = value else {
        throw CheckpointError.inconsistentIndex(path: path, problem: "tensor '\(tensor)' has no file name")
      }
      // An index comes with the model from whoever made it; it has no business outside its folder.
      guard !name.isEmpty, !name.contains("/"), name != "..", name != "." else {
        throw CheckpointError.inconsistentIndex(
          path: path, problem: "tensor '\(tensor)' is in '\(name)', which is no plain file name")
      }
      fileNames[tensor] = name
    }
    guard !fileNames.isEmpty else {
      throw CheckpointError.inconsistentIndex(path: path, problem: "'weight_map' names no tensor")
    }
    self.fileNames = fileNames
  }

  /// Reads every shard's header and holds it against the index, both ways.
  func tensors(folder: String) throws -> [String: TensorLocation] {
    var tensors: [String: TensorLocation] = [:]
    for name in Set(fileNames.values).sorted() {
      let shardPath = folder + "/" + name
      let header: SafetensorsHeader
      do { header = try SafetensorsHeader.read(path: shardPath) } catch CheckpointError.notFound {
        let count = fileNames.values.filter { $0 == name }.count
        throw problem("names the shard '\(name)' for \(count) tensors, but there is no such file")
      }
      for tensor in header.tensors {
        if let other = tensors[tensor.name] {
          throw problem(
            "tensor '\(tensor.name)' is in two shards, '\(fileName(other.filePath))' and '\(name)'")
        }
        guard let indexed = fileNames[tensor.name] else {
          throw problem("tensor '\(tensor.name)' is in the shard '\(name)', but not in the index")
        }
        guard indexed == name else {
          throw problem("tensor '\(tensor.name)' should be in '\(indexed)', but is in '\(name)'")
        }
        tensors[tensor.name] = tensor
      }
    }
    if let missing = fileNames.keys.sorted().first(where: { tensors[$0] == nil }) {
      throw problem("tensor '\(missing)' should be in '\(fileNames[missing] ?? "")', but is not there")
    }
    return tensors
  }

  private func problem(_ text: String) -> CheckpointError { .inconsistentIndex(path: path, problem: text) }
}
