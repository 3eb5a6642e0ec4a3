/// Short names of a folder's groups, for people to type.
///
/// A group is called by the end of its name that no other group's name has: `q_proj` for `self_attn.q_proj`. One that
/// a pattern made, whose characters mean something to a shell or to a list, is called by its number: `group1`.
public struct GroupNames: Sendable, Equatable {
  /// The groups' own names.
  public let names: [String]
  /// One a group, all different.
  public let short: [String]

  /// Names groups.
  public init(_ names: [String]) {
    self.names = names
    short = names.enumerated().map { index, name in
      guard name.allSatisfy(isPlain) else { return "group\(index)" }
      let others = names.enumerated().filter { $0.offset != index }.map(\.element)
      return endings(of: name).first { ending in
        !others.contains { $0 == ending || $0.hasSuffix("." + ending) }
      }
        ?? name
    }
  }

  /// The group of a short name or of its own name.
  ///
  /// - Parameter text: As typed.
  /// - Returns: Its number; nil if there is none of that name.
  public func index(of text: String) -> Int? { short.firstIndex(of: text) ?? names.firstIndex(of: text) }
}

private func isPlain(_ character: Character) -> Bool {
  character.isASCII && (character.isLetter || character.isNumber || "._-".contains(character))
}

/// The ends of a dotted name, the shortest first.
private func endings(of name: String) -> [String] {
  let parts = name.split(separator: ".", omittingEmptySubsequences: false)
  return parts.indices.reversed().map { parts[$0...].joined(separator: ".") }
}
