import Foundation

/// The package's own source files, found from where this file was compiled.
enum SourceTree {
  /// One Swift file below `Sources`.
  struct File: Sendable, CustomStringConvertible {
    /// The folder below `Sources`, which is the target.
    let target: String
    /// The path below the package's root.
    let path: String
    let lines: [String]

    var description: String { path }
  }

  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The names of the folders below `Sources`, sorted.
  static func targets() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: sources.path)
      .filter { !$0.hasPrefix(".") }.sorted()
  }

  /// All Swift files below `Sources`, in the order of their paths.
  static func files() throws -> [File] {
    try targets().flatMap { target in
      try swiftPaths(below: target).map { path in
        let text = try String(contentsOf: sources.appending(path: path), encoding: .utf8)
        // The last line's own end is not one more line.
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        return File(
          target: target, path: "Sources/\(path)", lines: lines.last == "" ? lines.dropLast() : lines)
      }
    }
  }

  private static var sources: URL { root.appending(path: "Sources") }

  private static func swiftPaths(below target: String) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: sources.appending(path: target).path)
      .filter { $0.hasSuffix(".swift") }.sorted().map { "\(target)/\($0)" }
  }
}
