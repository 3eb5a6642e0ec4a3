public import LinearAlgebra

/// The ranks that work on one unit together, seen from one of them.
public struct RankGroup: ReductionGroup {
  /// Their numbers in the job: one rank, or a power of two of neighbours.
  public let ranks: Range<Int>
  /// This rank's place among them; 0 is the leader, who hands in the result.
  public let memberIndex: Int
  private let mailbox: ExchangeMailbox

  init(ranks: Range<Int>, rank: Int, mailbox: ExchangeMailbox) {
    self.ranks = ranks
    memberIndex = rank - ranks.lowerBound
    self.mailbox = mailbox
  }

  /// How many ranks there are.
  public var memberCount: Int { ranks.count }
  /// Whether this rank hands in the group's result.
  public var isLeader: Bool { memberIndex == 0 }

  /// Gives bytes to another member and takes as many from it; called on the computing thread.
  public func exchange(_ bytes: [UInt8], with member: Int) -> [UInt8] {
    mailbox.exchange(bytes, with: ranks.lowerBound + member)
  }
}
