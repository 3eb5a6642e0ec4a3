/// Decides which rank gets which unit of work: largest first, a little ahead, nobody hoarding at the end.
///
/// Pure bookkeeping, without messages. Every rank may hold one unit in work, one being read and one to come;
/// when fewer units are left than the ranks could hold that way, a rank gets one at a time, so that the last
/// units go to whoever is free first.
public struct Dispatcher: Sendable {
  private let unitCount: Int
  private var nextUnit = 0
  private var held: [Int]
  private var finishedCount = 0

  /// Units that a rank may hold while there are plenty.
  private static let window = 3

  /// Starts with every unit unassigned, in the order in which they are to be given out.
  public init(unitCount: Int, rankCount: Int) {
    self.unitCount = unitCount
    held = Array(repeating: 0, count: rankCount)
  }

  /// Whether every unit is finished.
  public var isDone: Bool { finishedCount == unitCount }
  /// Units not yet given out.
  public var remainingCount: Int { unitCount - nextUnit }

  /// The next unit for a rank, if it should have one now.
  public mutating func nextUnit(for rank: Int) -> Int? {
    guard nextUnit < unitCount else { return nil }
    let allowed = remainingCount > Self.window * held.count ? Self.window : 1
    guard held[rank] < allowed else { return nil }
    held[rank] += 1
    nextUnit += 1
    return nextUnit - 1
  }

  /// Notes that a rank has finished a unit.
  public mutating func finish(onRank rank: Int) {
    precondition(held[rank] > 0, "a rank finished a unit it does not hold")
    held[rank] -= 1
    finishedCount += 1
  }
}
