internal import MPI

/// Where one rank's units come from: its teams, its own list, its node's other lists, other nodes.
///
/// A rank holds one unit in work, one being read and one to come, as long as what is left after them would give
/// the other ranks enough; at the end nobody holds what others could begin with.
struct WorkSupply {
  /// Units that a rank may hold while there are plenty.
  private static let window = 3

  /// Units that this rank has taken from others.
  private(set) var steals = StealCount()
  /// Whether this rank does units at all.
  let isWorking: Bool
  private let rank: Int
  private let rankCount: Int
  private let member: Int
  private let units: [JobUnit]
  private let lists: NodeLists
  private var teams: [Team]
  private var others: OtherNodes
  /// Units of other nodes that this rank will do.
  private var given: [Int] = []
  private var held = NodeLists.HeldWork()

  /// The supply of a rank; `isWorking` is false for one that only coordinates.
  init(
    rank: Int, units: [JobUnit], shares: Shares, places: RankPlaces, words: SharedWords, isWorking: Bool
  ) {
    let node = places.nodes[places.nodeOfRank[rank]]
    self.rank = rank
    self.units = units
    rankCount = places.nodeOfRank.count
    self.isWorking = isWorking
    member = node.firstIndex(of: rank) ?? 0
    lists = NodeLists(node.map { shares.lists[$0] }, costs: units.map(\.cost), words: words)
    teams = shares.teams[rank]
    others = OtherNodes(places, rank: rank, shares: shares, units: units)
  }

  /// What the rank should begin with or hold ahead, if anything.
  mutating func next() -> Team? {
    guard isWorking, held.count < Self.window, let team = nextTeam() ?? nextUnit().map(alone) else {
      return nil
    }
    held.count += 1
    held.cost += units[team.unit].cost
    return team
  }

  /// The rank to ask for work now, if any.
  mutating func rankToAsk() -> Int? {
    guard isWorking, held.count < 2, teams.isEmpty, given.isEmpty, lists.remainingCost == 0 else {
      return nil
    }
    return others.next(isIdle: isIdle)
  }

  /// Whether the rank has nothing to do.
  var isIdle: Bool { held.count == 0 }

  /// Whether an answer is on its way to this rank.
  var isAsking: Bool { others.isAsking }

  /// Takes what another node has answered.
  mutating func accept(_ answer: StealAnswer) {
    others.note(answer)
    given += answer.units
    steals.betweenNodes += answer.units.count
  }

  /// Answers a rank of another node.
  func answer(isIdle: Bool) -> StealAnswer {
    let units = lists.give(held: NodeLists.HeldWork(count: isIdle ? 0 : 1), rankCount: rankCount)
    return StealAnswer(units: units, remainingCost: lists.remainingCost)
  }

  /// Notes that a unit is done.
  mutating func finish(_ unit: Int) {
    precondition(held.count > 0, "a rank finished a unit it does not hold")
    held.count -= 1
    held.cost -= units[unit].cost
  }

  private func alone(_ unit: Int) -> Team { Team(unit: unit, ranks: rank..<rank + 1) }

  private mutating func nextTeam() -> Team? { teams.isEmpty ? nil : teams.removeFirst() }

  private mutating func nextUnit() -> Int? {
    if !given.isEmpty { return given.removeFirst() }
    guard let taken = lists.take(by: member, held: held) else { return nil }
    if taken.isStolen { steals.insideNode += 1 }
    return taken.unit
  }
}

/// How many units a rank has taken from others.
struct StealCount: Sendable {
  var insideNode = 0
  var betweenNodes = 0
}
