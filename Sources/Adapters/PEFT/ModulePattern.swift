/// A key of `rank_pattern` or `alpha_pattern`: a regular expression for the end of a module's path.
///
/// PEFT takes the first key K for which Python's `re.match(r"(.*\.)?(K)$", path)` finds something. Most keys are
/// paths in which only dots mean anything, and thousands of them are held against thousands of modules: those are
/// compared letter by letter, and only what is left is a regular expression here too.
package struct ModulePattern {
  /// The letters of a path's end, with nil for any letter; nil if the key is more than that.
  private let letters: [Unicode.Scalar?]?
  /// Whether the key stands for a whole path.
  private let isAnchored: Bool
  private let expression: Regex<AnyRegexOutput>?

  /// Parses a key.
  ///
  /// - Throws: What `Regex` has against it.
  package init(_ key: String) throws {
    var rest = Substring(key)
    isAnchored = rest.hasPrefix("^")
    if isAnchored { rest = rest.dropFirst() }
    if rest.hasSuffix("$") { rest = rest.dropLast() }
    letters = plainLetters(rest)
    expression = letters == nil ? try Regex("^(?:.*\\.)?(?:\(key))$") : nil
  }

  /// Whether PEFT applies the key to the module of this path.
  package func matches(_ path: String) -> Bool {
    guard let letters else { return expression.map { path.firstMatch(of: $0) != nil } ?? false }
    let scalars = Array(path.unicodeScalars)
    let start = scalars.count - letters.count
    guard start == 0 || start > 0 && !isAnchored && scalars[start - 1] == "." else { return false }
    return zip(letters, scalars[start...]).allSatisfy { $0 == nil || $0 == $1 }
  }
}

/// The letters that a pattern without operators stands for, nil for any; nil if it has operators.
private func plainLetters(_ pattern: Substring) -> [Unicode.Scalar?]? {
  var letters: [Unicode.Scalar?] = []
  var isEscaped = false
  for scalar in pattern.unicodeScalars {
    switch scalar {
    // An escaped letter or digit is a class or a reference, an escaped sign is that sign.
    case _ where isEscaped:
      guard scalar.isASCII, !scalar.properties.isAlphabetic, scalar.properties.numericType == nil else {
        return nil
      }
      letters.append(scalar)
      isEscaped = false
    case "\\": isEscaped = true
    case ".": letters.append(nil)
    case "^", "$", "*", "+", "?", "(", ")", "[", "]", "{", "}", "|": return nil
    default: letters.append(scalar)
    }
  }
  return isEscaped ? nil : letters
}
