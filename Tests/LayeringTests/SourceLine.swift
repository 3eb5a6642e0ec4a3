/// What a line of Swift says, as far as layering goes.
enum SourceLine {
  /// The module a line imports; nil if it is no import line.
  ///
  /// Attributes, access levels and the kind of a single declaration may stand before the module's name.
  static func importedModule(_ line: String) -> String? {
    var words = line.split(whereSeparator: \.isWhitespace)[...]
    while let word = words.first, word.hasPrefix("@") || accessLevels.contains(String(word)) {
      words.removeFirst()
    }
    guard words.popFirst() == "import" else { return nil }
    if let word = words.first, declarationKinds.contains(String(word)) { words.removeFirst() }
    // `import struct Module.Type` and `import Module.Submodule` both come from `Module`.
    return words.first?.split(whereSeparator: { $0 == "." || $0 == ";" }).first.map(String.init)
  }

  /// The unsafe pointer a line of code names; nil if none, or only in a comment.
  static func unsafePointer(_ line: String) -> String? {
    let code = line.split(separator: "//", maxSplits: 1, omittingEmptySubsequences: false).first ?? ""
    let words = code.split { !($0.isLetter || $0.isNumber || $0 == "_") }
    return words.first { word in
      word.hasPrefix("withUnsafe") || word == "OpaquePointer"
        || (word.hasPrefix("Unsafe") && word.contains("Pointer"))
    }.map(String.init)
  }

  private static let accessLevels: Set = ["public", "package", "internal", "fileprivate", "private"]
  private static let declarationKinds: Set = [
    "typealias", "struct", "class", "enum", "protocol", "let", "var", "func",
  ]
}
