internal import Foundation

/// Which tensors of a model go to which of its files.
package struct ShardLayout {
  /// One file of a model.
  package struct File {
    /// Its name in the model's folder.
    package var name: String
    /// Its tensors, as they are in the source, in the order in which they are best read.
    package var tensors: [TensorLocation]
    /// The free-form strings of its header.
    var metadata: [String: String]
  }

  let files: [File]

  /// The files as they are; a single one gets the name that every program looks for.
  init(keeping source: Checkpoint) throws {
    let tensors = Dictionary(grouping: source.storedOrder, by: \.filePath)
    files = try source.files.map { path in
      // Transformers refuses a file that does not name its framework.
      let metadata = ["format": "pt"].merging(try SafetensorsHeader.read(path: path).metadata) { $1 }
      let name = source.files.count == 1 ? "model.safetensors" : fileName(path)
      return File(name: name, tensors: tensors[path] ?? [], metadata: metadata)
    }
  }

  /// New files of at most so many bytes of tensors, or of a single tensor, in the order of the source.
  init(_ source: Checkpoint, shardSize: Int) {
    var shards: [[TensorLocation]] = []
    var size = 0
    for tensor in source.storedOrder {
      if shards.isEmpty || size + tensor.byteCount > shardSize {
        shards.append([])
        size = 0
      }
      shards[shards.count - 1].append(tensor)
      size += tensor.byteCount
    }
    let count = shards.count
    files = shards.enumerated().map { number, tensors in
      let name = count == 1 ? "model" : String(format: "model-%05d-of-%05d", number + 1, count)
      return File(name: name + ".safetensors", tensors: tensors, metadata: ["format": "pt"])
    }
  }

  /// The index file's bytes, in Transformers' format; nil for a single file, which needs none.
  func index() throws -> [UInt8]? {
    guard files.count > 1 else { return nil }
    let tensors = files.flatMap { file in file.tensors.map { ($0.name, file.name) } }
    let document = Document(
      metadata: ["total_size": files.flatMap(\.tensors).reduce(0) { $0 + $1.byteCount }],
      weight_map: Dictionary(uniqueKeysWithValues: tensors))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try Array(encoder.encode(document)) + [UInt8(ascii: "\n")]
  }

  private struct Document: Encodable {
    var metadata: [String: Int]
    // The format's name.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    var weight_map: [String: String]
  }
}

extension Checkpoint {
  /// Its tensors as they lie in their files: a file system likes to be read from front to back.
  fileprivate var storedOrder: [TensorLocation] {
    tensors.values.sorted { ($0.filePath, $0.offset, $0.name) < ($1.filePath, $1.offset, $1.name) }
  }
}
