internal import Foundation

/// Streams tensors into safetensors files of bounded size with an index, as models are published in shards.
///
/// Tensors are dealt to the files in the order of their slots, and one file is open at a time: all tensors of a file are
/// written or left out before the first one of the next. The bytes depend on the slots and on what is written alone.
public struct ShardedWriter: ~Copyable {
  private let folder: String
  private let name: String
  private let shards: [[SafetensorsWriter.Slot]]
  private let shardOfSlot: [String: Int]
  private var current: Int?
  private var writer: SafetensorsWriter?
  private var fileNames: [String: String] = [:]
  private var byteCount = 0

  /// Deals the slots to files of at most so many bytes, or of a single tensor that is larger.
  ///
  /// - Parameters:
  ///   - folder: Where to; it must exist.
  ///   - name: What the files' names begin with.
  ///   - slots: In the order in which they will be written.
  ///   - shardSize: The greatest number of bytes of tensors in a file that has more than one.
  public init(folder: String, name: String, slots: [SafetensorsWriter.Slot], shardSize: Int) {
    self.folder = folder
    self.name = name
    var shards: [[SafetensorsWriter.Slot]] = []
    var size = 0
    for slot in slots {
      if shards.isEmpty || size + slot.largestByteCount > shardSize {
        shards.append([])
        size = 0
      }
      shards[shards.count - 1].append(slot)
      size += slot.largestByteCount
    }
    self.shards = shards
    shardOfSlot = Dictionary(
      uniqueKeysWithValues: shards.enumerated().flatMap { number, slots in slots.map { ($0.name, number) } })
  }

  /// Writes a tensor of at most its slot's shape.
  ///
  /// - Throws: `CheckpointError.slotMismatch` if it does not fit or comes after those of a later file, `.system` if the
  ///   device fails.
  public mutating func write(_ bytes: [UInt8], to tensor: String, shape: [Int]) throws {
    let shard = try open(shardOf: tensor)
    try writer?.write(bytes, to: tensor, shape: shape)
    fileNames[tensor] = fileName(shard)
    byteCount += bytes.count
  }

  /// Leaves a tensor out.
  ///
  /// - Throws: As above.
  public mutating func omit(_ tensor: String) throws {
    _ = try open(shardOf: tensor)
    try writer?.omit(tensor)
  }

  /// Makes the last file and the index whole and durable.
  ///
  /// - Throws: `CheckpointError.slotMismatch` if a tensor was neither written nor left out, `.system` if the device
  ///   fails.
  public consuming func finish() throws {
    try closeShard()
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let index = Index(metadata: ["total_size": byteCount], weight_map: fileNames)
    let bytes = try Array(encoder.encode(index)) + [UInt8(ascii: "\n")]
    try writeDurably(bytes, to: "\(folder)/\(name).safetensors.index.json")
  }

  /// The index of a published model, which other programs read.
  private struct Index: Encodable {
    var metadata: [String: Int]
    // The format's name.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    var weight_map: [String: String]
  }

  private func fileName(_ shard: Int) -> String {
    name + String(format: "-%05d-of-%05d.safetensors", shard + 1, shards.count)
  }

  /// Makes the file of a tensor the open one.
  private mutating func open(shardOf tensor: String) throws -> Int {
    guard let shard = shardOfSlot[tensor] else {
      throw CheckpointError.slotMismatch(path: folder, tensor: tensor, problem: "is not among those laid out")
    }
    guard shard != current else { return shard }
    if let current, shard < current {
      throw CheckpointError.slotMismatch(
        path: folder + "/" + fileName(shard), tensor: tensor, problem: "comes after its file was finished")
    }
    try closeShard()
    writer = try SafetensorsWriter(
      path: folder + "/" + fileName(shard), slots: shards[shard], metadata: ["format": "pt"])
    current = shard
    return shard
  }

  private mutating func closeShard() throws {
    if let writer = writer.take() { try writer.finish() }
  }
}
