/// Writes a model's folder from another one: the same tensors, of the same types, some with other values.
///
/// New values come in any order; what got none by the end is copied, one tensor at a time, so that memory does not grow
/// with the model. The configuration and the tokenizer come along. The folder's files appear one by one, each whole: make
/// them where nobody looks yet.
public struct CheckpointWriter: ~Copyable {
  private let source: Checkpoint
  private let folder: String
  private let shards: [CheckpointShard]
  private let shardIndex: [String: Int]
  private let index: [UInt8]?
  /// The files with tensors, in the order in which they are best written.
  package let files: [ShardLayout.File]

  /// Lays the files out.
  ///
  /// - Parameters:
  ///   - source: The model whose tensors are written.
  ///   - folder: Where to; it must exist when the first tensor is written.
  ///   - shardSize: The greatest number of bytes of tensors in a file that has more than one of them; nil keeps the
  ///     source's files and their names. A model in one file is always `model.safetensors`, whatever it was called.
  /// - Throws: `CheckpointError` if the source cannot be read any longer.
  public init(of source: Checkpoint, into folder: String, shardSize: Int? = nil) throws {
    let layout = try shardSize.map { ShardLayout(source, shardSize: $0) } ?? ShardLayout(keeping: source)
    let index = try layout.index()
    shardIndex = Dictionary(
      uniqueKeysWithValues: layout.files.enumerated().flatMap { number, file in
        file.tensors.map { ($0.name, number) }
      })
    self.source = source
    self.folder = folder
    shards = layout.files.map { CheckpointShard(path: folder + "/" + $0.name, $0) }
    files = layout.files
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

  /// Copies what one file lacks, and makes it whole and durable.
  ///
  /// - Parameters:
  ///   - number: Its place in `files`.
  ///   - replacing: Asked for each of its tensors that has not been written; nil leaves the source's values.
  /// - Returns: What the file is known by.
  /// - Throws: `CheckpointError` if the source was changed or the device fails, and whatever the closure throws.
  package func finishFile(_ number: Int, replacing: (TensorLocation) throws -> [UInt8]? = { _ in nil }) throws
    -> FinishedFile
  {
    try shards[number].finish(replacing)
  }

  /// Holds a file that lies in the folder against one that an earlier run has finished.
  ///
  /// - Parameters:
  ///   - number: Its place in `files`.
  ///   - finished: What it was known by.
  /// - Returns: A sentence on what is different; nil if it need not be written again.
  package func difference(ofFile number: Int, to finished: FinishedFile) -> String? {
    shards[number].difference(to: finished)
  }

  /// Makes all files whole and durable, and copies what belongs to the model beside weights.
  ///
  /// - Throws: `CheckpointError` if the source was changed or the device fails.
  public consuming func finish() throws {
    for number in files.indices { _ = try finishFile(number) }
    try finishFolder()
  }

  /// Writes the index, and copies what belongs to the model beside weights.
  ///
  /// - Throws: `CheckpointError` if the source was changed or the device fails.
  package func finishFolder() throws {
    if let index { try writeDurably(index, to: folder + "/model.safetensors.index.json") }
    for file in try ModelCompanions.files(of: source) {
      let contents = try RandomAccessFile(path: file)
      try writeDurably(try contents.bytes(0..<contents.size, of: "file"), to: folder + "/" + fileName(file))
    }
  }
}
