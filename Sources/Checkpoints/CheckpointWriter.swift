/// Writes a model's folder from another one: the same tensors, of the same types, some with other values.
///
/// New values come in any order; what got none by the end is copied, one tensor at a time, so that memory does not grow
/// with the model. The configuration and the tokenizer come along. The folder's files appear one by one, each whole: make
/// them where nobody looks yet.
public struct CheckpointWriter: ~Copyable {
  private let source: Checkpoint
  private let folder: String
  private let shards: [Shard]
  private let shardIndex: [String: Int]
  private let index: [UInt8]?

  /// Lays the files out.
  ///
  /// - Parameters:
  ///   - source: The model whose tensors are written.
  ///   - folder: Where to; it must exist.
  ///   - shardSize: The greatest number of bytes of tensors in a file that has more than one of them; nil keeps the
  ///     source's files and their names. A model in one file is always `model.safetensors`, whatever it was called.
  /// - Throws: `CheckpointError` if the source cannot be read any longer or a file cannot be made.
  public init(of source: Checkpoint, into folder: String, shardSize: Int? = nil) throws {
    let layout = try shardSize.map { ShardLayout(source, shardSize: $0) } ?? ShardLayout(keeping: source)
    let shards = try layout.files.map { try Shard(path: folder + "/" + $0.name, $0.tensors, $0.metadata) }
    let index = try layout.index()
    shardIndex = Dictionary(
      uniqueKeysWithValues: layout.files.enumerated().flatMap { number, file in
        file.tensors.map { ($0.name, number) }
      })
    self.source = source
    self.folder = folder
    self.shards = shards
    self.index = index
  }

  /// Gives a tensor new values, instead of those in the source.
  ///
  /// - Parameters:
  ///   - bytes: As many as the source's tensor has, of its type and in its order.
  ///   - name: The tensor's name, which no call may have had before.
  /// - Throws: `CheckpointError.slotMismatch` if the tensor is not the source's or differs in size, `.system` if the
  ///   device fails.
  public func write(_ bytes: [UInt8], to name: String) throws {
    guard let number = shardIndex[name] else {
      throw CheckpointError.slotMismatch(path: folder, tensor: name, problem: "is not in \(source.path)")
    }
    try shards[number].write(bytes, to: name)
  }

  /// Copies all other tensors, makes the files whole and durable, and copies what belongs to the model beside weights.
  ///
  /// - Parameter replacing: Asked for each tensor that has not been written; nil leaves the source's values.
  /// - Throws: `CheckpointError` if the source was changed or the device fails, and whatever the closure throws.
  public consuming func finish(replacing: (TensorLocation) throws -> [UInt8]? = { _ in nil }) throws {
    for shard in shards { try shard.finish(replacing) }
    if let index { try writeDurably(index, to: folder + "/model.safetensors.index.json") }
    for file in try ModelCompanions.files(of: source) {
      let contents = try RandomAccessFile(path: file)
      try writeDurably(try contents.bytes(0..<contents.size, of: "file"), to: folder + "/" + fileName(file))
    }
  }
}

/// One file of the model that is written.
private final class Shard {
  private var writer: SafetensorsWriter?
  private let tensors: [TensorLocation]
  private let shapes: [String: [Int]]
  private var written: Set<String> = []

  init(path: String, _ tensors: [TensorLocation], _ metadata: [String: String]) throws {
    writer = try SafetensorsWriter(
      path: path,
      slots: tensors.map {
        SafetensorsWriter.Slot(name: $0.name, elementType: $0.elementType, largestShape: $0.shape)
      },
      metadata: metadata)
    self.tensors = tensors
    shapes = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.shape) })
  }

  func write(_ bytes: [UInt8], to name: String) throws {
    try writer?.write(bytes, to: name, shape: shapes[name] ?? [])
    written.insert(name)
  }

  func finish(_ replacing: (TensorLocation) throws -> [UInt8]?) throws {
    for tensor in tensors where !written.contains(tensor.name) {
      try write(try replacing(tensor) ?? tensor.bytes(), to: tensor.name)
    }
    if let writer = writer.take() { try writer.finish() }
  }
}
