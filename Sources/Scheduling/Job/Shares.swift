/// The units that each rank starts with: equal in cost, and neighbours in the files.
///
/// A function of the plan and the places alone, which every rank computes for itself. Ranks of one node get
/// neighbouring stretches of the files, so that a node reads few of them.
package struct Shares: Sendable {
  /// The units of each rank in the job's order, the dearest first.
  package let lists: [[Int]]
  /// The teams of each rank, in the order of their units, which is the same on every rank: no two teams wait for
  /// each other.
  package let teams: [[Team]]
  /// How many messages say that all is done: one a unit, and one for each further rank of a team.
  package let partCount: Int

  /// Cuts the units into shares.
  ///
  /// - Parameters:
  ///   - units: In the order in which a rank would do them.
  ///   - nodeOfRank: Equal numbers for ranks that share memory.
  ///   - teams: The units that several ranks share.
  ///   - finished: Units that need not be done.
  ///   - idleRank: A rank that does nothing, if there is one.
  package init(
    _ units: [JobUnit], nodeOfRank: [Int], teams: [Team] = [], finished: Set<Int> = [], idleRank: Int? = nil
  ) {
    let rankCount = nodeOfRank.count
    let teams = teams.filter { !finished.contains($0.unit) }.sorted { $0.unit < $1.unit }
    self.teams = (0..<rankCount).map { rank in teams.filter { $0.ranks.contains(rank) } }
    let shared = Set(teams.map(\.unit))
    let alone = units.indices.filter { !shared.contains($0) && !finished.contains($0) }
    partCount = alone.count + teams.reduce(0) { $0 + $1.ranks.count }

    // What a rank does in teams counts as done: the less it takes of the rest.
    let busy = self.teams.map { $0.reduce(0) { $0 + units[$1.unit].cost / Double($1.ranks.count) } }
    let workers = (0..<rankCount).filter { $0 != idleRank }
      .sorted { (nodeOfRank[$0], $0) < (nodeOfRank[$1], $1) }
    let total = alone.reduce(0) { $0 + units[$1].cost }
    let room = Self.room(total, beside: workers.map { busy[$0] })

    var lists = [[Int]](repeating: [], count: rankCount)
    var (place, begun, end) = (0, 0.0, room.first ?? 0)
    let inFiles = alone.sorted {
      (units[$0].path, units[$0].offset, $0) < (units[$1].path, units[$1].offset, $1)
    }
    for unit in inFiles {
      // A unit goes where its middle lies.
      while place + 1 < workers.count && begun + units[unit].cost / 2 > end {
        place += 1
        end += room[place]
      }
      lists[workers[place]].append(unit)
      begun += units[unit].cost
    }
    self.lists = lists.map { $0.sorted() }
  }

  /// Divides work so that all ranks have as much, as far as what they already have allows.
  private static func room(_ work: Double, beside busy: [Double]) -> [Double] {
    var level = 0.0
    var lower: [Double] = []
    for load in busy.sorted() {
      // Whoever already has more than all would then have gets nothing.
      if !lower.isEmpty && load >= level { break }
      lower.append(load)
      level = (work + lower.reduce(0, +)) / Double(lower.count)
    }
    return busy.map { max(0, level - $0) }
  }
}
