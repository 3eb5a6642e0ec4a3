/// A unit of work that several ranks share.
public struct Team: Sendable, Codable, Equatable {
  /// The unit's number.
  public let unit: Int
  /// The ranks: a power of two of neighbours, so that most of a team share a machine.
  public let ranks: Range<Int>

  /// A unit and its ranks.
  public init(unit: Int, ranks: Range<Int>) {
    precondition(
      ranks.count > 0 && ranks.count & (ranks.count - 1) == 0, "a team is a power of two of ranks")
    self.unit = unit
    self.ranks = ranks
  }

  /// The same unit for ranks that come later.
  func shifted(by offset: Int) -> Team {
    Team(unit: unit, ranks: ranks.lowerBound + offset..<ranks.upperBound + offset)
  }
}
