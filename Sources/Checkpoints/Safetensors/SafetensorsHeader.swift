/// The header of one safetensors file, validated whole before any tensor of it can be read.
public struct SafetensorsHeader: Sendable {
  /// The free-form strings under `__metadata__`.
  public let metadata: [String: String]
  /// The tensors in the order of their bytes.
  public let tensors: [TensorLocation]
  /// Bytes before the first tensor's: the length field and the JSON text.
  public let byteCount: Int

  /// The limit of the reference implementation.
  private static let greatestLength = 100_000_000

  /// Reads and checks a file's header.
  ///
  /// - Throws: `CheckpointError` for a file that breaks any rule of the format, among them some that the
  ///   reference implementation lets pass: duplicate keys, white space before the header, unknown fields.
  public static func read(path: String) throws -> SafetensorsHeader {
    let file = try RandomAccessFile(path: path)
    guard file.size >= 8 else {
      throw CheckpointError.malformedHeader(
        path: path, problem: "has \(file.size) bytes, fewer than the 8 of a safetensors header's length")
    }
    let length = try file.bytes(0..<8, of: "header").reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard length <= UInt64(greatestLength) else {
      throw CheckpointError.malformedHeader(
        path: path, problem: "declares a header of \(length) bytes, limit \(greatestLength)")
    }
    guard Int(length) <= file.size - 8 else {
      throw CheckpointError.malformedHeader(
        path: path,
        problem: "declares a header of \(length) bytes, but the file has \(file.size); it is cut short")
    }
    return try SafetensorsHeader(
      headerBytes: file.bytes(8..<8 + Int(length), of: "header"), fileSize: file.size, path: path)
  }

  /// Checks a header's JSON text against the size of its file.
  package init(headerBytes: [UInt8], fileSize: Int, path: String) throws {
    guard headerBytes.first == UInt8(ascii: "{") else {
      throw CheckpointError.malformedHeader(path: path, problem: "the header does not begin with '{'")
    }
    guard let end = headerBytes.lastIndex(where: { $0 != 0x20 }), headerBytes[end] == UInt8(ascii: "}") else {
      throw CheckpointError.malformedHeader(
        path: path, problem: "the header does not end with '}' and spaces; the file is damaged")
    }
    let members = try Self.parseObject(Array(headerBytes[...end]), path: path)
    var metadata: [String: String] = [:]
    var entries: [HeaderEntry] = []
    for (name, value) in members {
      if name == "__metadata__" {
        metadata = try parseMetadata(value, path: path)
      } else {
        entries.append(try HeaderEntry(name, value, path: path))
      }
    }
    byteCount = 8 + headerBytes.count
    self.metadata = metadata
    tensors = try locate(entries, dataStart: byteCount, fileSize: fileSize, path: path)
  }

  private static func parseObject(_ bytes: [UInt8], path: String) throws -> [(key: String, value: StrictJSON)]
  {
    do {
      guard case .object(let members) = try StrictJSON(parsing: bytes) else { return [] }
      return members
    } catch {
      throw CheckpointError.malformedJSON(path: path, position: 8 + error.position, problem: error.problem)
    }
  }
}
