/// Decides which rank gets which unit of work: teams first, then largest first, a little ahead, nobody hoarding.
///
/// Pure bookkeeping, without messages. A rank does the units of its teams in their order, which is the same on
/// every rank, so that no two teams wait for each other, and goes over to the common queue by itself. It may hold
/// one unit in work, one being read and one to come, as long as what is left after them would give every rank as
/// much: so the large units at the start and the last ones at the end go to whoever is free first.
public struct Dispatcher: Sendable {
  private let costs: [Double]
  private let queue: [Int]
  private var nextIndex = 0
  private var remainingCost: Double
  private var teams: [[Team]]
  private var held: [Int]
  private var unfinishedCount: Int

  /// Units that a rank may hold while there are plenty.
  private static let window = 3

  /// Starts with every unit unassigned, in the order in which they are to be given out.
  ///
  /// - Parameters:
  ///   - costs: What each unit takes, in any measure.
  ///   - rankCount: The ranks of the job.
  ///   - teams: The units that several ranks share.
  ///   - finished: Units that nobody is to do.
  public init(costs: [Double], rankCount: Int, teams: [Team] = [], finished: Set<Int> = []) {
    let shared = finished.union(teams.map(\.unit))
    self.costs = costs
    queue = costs.indices.filter { !shared.contains($0) }
    remainingCost = queue.reduce(0) { $0 + costs[$1] }
    self.teams = (0..<rankCount).map { rank in
      teams.filter { $0.ranks.contains(rank) }.sorted { $0.unit < $1.unit }
    }
    held = Array(repeating: 0, count: rankCount)
    unfinishedCount = queue.count + teams.reduce(0) { $0 + $1.ranks.count }
  }

  /// Whether every rank has finished its part of every unit.
  public var isDone: Bool { unfinishedCount == 0 }

  /// What a rank should do next, if it should have one more unit now; ask the ranks in turns.
  public mutating func next(for rank: Int) -> Team? {
    guard held[rank] < Self.window else { return nil }
    if !teams[rank].isEmpty {
      held[rank] += 1
      return teams[rank].removeFirst()
    }
    guard nextIndex < queue.count else { return nil }
    let unit = queue[nextIndex]
    let isPlenty = remainingCost - costs[unit] >= costs[unit] * Double(held.count)
    guard held[rank] == 0 || isPlenty else { return nil }
    held[rank] += 1
    nextIndex += 1
    remainingCost -= costs[unit]
    return Team(unit: unit, ranks: rank..<rank + 1)
  }

  /// Notes that a rank has finished its part of a unit.
  public mutating func finish(onRank rank: Int) {
    precondition(held[rank] > 0, "a rank finished a unit it does not hold")
    held[rank] -= 1
    unfinishedCount -= 1
  }
}
