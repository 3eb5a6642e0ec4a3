import Foundation

/// A folder of one test, removed with everything in it when the test drops it.
public final class TemporaryFolder: Sendable {
  /// Its absolute path, without a slash at the end.
  public let path: String

  /// Makes a new, empty folder.
  ///
  /// - Throws: Foundation's error if it cannot be made.
  public init() throws {
    path = "/tmp/unbraid-test-" + UUID().uuidString.prefix(8).lowercased()
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The path of something in the folder.
  ///
  /// - Parameter name: Relative to the folder.
  /// - Returns: An absolute path; whether it exists is not checked.
  public func file(_ name: String) -> String { path + "/" + name }

  /// Makes a folder in the folder.
  ///
  /// - Parameter name: Relative to the folder.
  /// - Returns: Its absolute path.
  /// - Throws: Foundation's error if it cannot be made.
  public func makeFolder(_ name: String) throws -> String {
    try FileManager.default.createDirectory(atPath: file(name), withIntermediateDirectories: true)
    return file(name)
  }

  /// Writes a file, over what was there.
  ///
  /// - Parameters:
  ///   - bytes: The whole contents.
  ///   - name: Relative to the folder.
  /// - Throws: Foundation's error if it cannot be written.
  public func write(_ bytes: some Sequence<UInt8>, to name: String) throws {
    try Data(bytes).write(to: URL(filePath: file(name)))
  }

  /// Everything below the folder, sorted.
  public var contents: [String] {
    (FileManager.default.subpaths(atPath: path) ?? []).sorted()
  }
}
