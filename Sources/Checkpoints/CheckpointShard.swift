/// One file of a model that is written.
///
/// It is made when its first tensor comes, so that of files that are written one after the other one is open at a time.
final class CheckpointShard {
  private let path: String
  private let file: ShardLayout.File
  private let shapes: [String: [Int]]
  private var writer: SafetensorsWriter?
  private var hashes: [String: ContentHash] = [:]

  init(path: String, _ file: ShardLayout.File) {
    self.path = path
    self.file = file
    shapes = Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, $0.shape) })
  }

  func write(_ bytes: [UInt8], to name: String) throws {
    guard hashes[name] == nil else {
      throw CheckpointError.slotMismatch(path: path, tensor: name, problem: "is written twice")
    }
    try openIfNeeded()
    try writer?.write(bytes, to: name, shape: shapes[name] ?? [])
    hashes[name] = ContentHash(of: bytes)
  }

  /// Asks for new values of every tensor that has not been written, copies those for which there are none, and makes the
  /// file whole and durable.
  func finish(_ replacing: (TensorLocation) throws -> [UInt8]?) throws -> FinishedFile {
    var replacedCount = 0
    for tensor in file.tensors where hashes[tensor.name] == nil {
      let values = try replacing(tensor)
      if values != nil { replacedCount += 1 }
      try write(try values ?? tensor.bytes(), to: tensor.name)
    }
    // One without tensors is a file as well.
    try openIfNeeded()
    if let writer = writer.take() { try writer.finish() }
    return FinishedFile(
      header: try InputFile(path: path).header,
      tensors: FinishedFile.hash(of: try file.tensors.map { try hash(of: $0.name) }),
      replacedCount: replacedCount)
  }

  /// Holds the file that is there against one that was finished; nil if it is the same.
  func difference(to finished: FinishedFile) -> String? {
    do {
      let header = try InputFile(path: path).header
      guard header == finished.header else {
        return
          "\(path): has another header than it was finished with (hash \(header), then \(finished.header))"
      }
      let found = Dictionary(
        uniqueKeysWithValues: try SafetensorsHeader.read(path: path).tensors.map { ($0.name, $0) })
      let tensors = FinishedFile.hash(
        of: try file.tensors.compactMap { try found[$0.name].map { ContentHash(of: try $0.bytes()) } })
      guard tensors == finished.tensors else {
        return
          "\(path): holds other tensors than it was finished with (hash \(tensors), then \(finished.tensors))"
      }
    } catch { return "\(error)" }
    return nil
  }

  private func openIfNeeded() throws {
    guard writer == nil else { return }
    writer = try SafetensorsWriter(
      path: path,
      slots: file.tensors.map {
        SafetensorsWriter.Slot(name: $0.name, elementType: $0.elementType, largestShape: $0.shape)
      },
      metadata: file.metadata)
  }

  private func hash(of name: String) throws -> ContentHash {
    guard let hash = hashes[name] else {
      throw CheckpointError.slotMismatch(path: path, tensor: name, problem: "was never written")
    }
    return hash
  }
}

/// What a finished file of a model is known by, so that nobody need write it again.
public struct FinishedFile: Sendable, Codable, Equatable {
  /// The hash of its header, which says how long it is.
  let header: ContentHash
  /// The hash of its tensors' hashes.
  let tensors: ContentHash
  /// How many of its tensors have other values than the source's.
  public let replacedCount: Int

  static func hash(of hashes: [ContentHash]) -> ContentHash {
    ContentHash(of: Array(hashes.map(\.description).joined(separator: " ").utf8))
  }
}
