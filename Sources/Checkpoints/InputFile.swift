internal import Glibc

/// What tells a file of a model from another one under the same name, without reading its weights.
public struct InputFile: Sendable, Codable, Hashable {
  /// Where it is.
  public let path: String
  /// Its size in bytes.
  public let size: Int
  /// When it was last changed, in nanoseconds since 1970.
  public let modified: Int
  /// The hash of its header; of all of it, if it is no safetensors file.
  public let header: ContentHash

  /// Looks at a file.
  ///
  /// - Throws: `CheckpointError` if it cannot be read.
  public init(path: String) throws {
    let file = try RandomAccessFile(path: path)
    var length = file.size
    if path.hasSuffix(".safetensors") {
      length = min(length, try SafetensorsHeader.read(path: path).byteCount)
    }
    self.path = path
    size = file.size
    modified = try file.modified()
    header = ContentHash(of: try file.bytes(0..<length, of: "header"))
  }

  /// Whether the file still has this size and this time of change.
  ///
  /// - Returns: False if it was changed.
  /// - Throws: `CheckpointError` if one cannot look.
  public func isUnchanged() throws -> Bool {
    let file = try RandomAccessFile(path: path)
    return try file.size == size && file.modified() == modified
  }
}

extension Checkpoint {
  /// Its files as they are now: those with tensors, and the configuration if there is one.
  ///
  /// - Throws: `CheckpointError` if one of them cannot be read.
  public func inputFiles() throws -> [InputFile] {
    let configuration = ModelConfiguration.path(modelPath: path)
    let others = access(configuration, R_OK) == 0 ? [configuration] : []
    return try (files + others).map { try InputFile(path: $0) }
  }
}
