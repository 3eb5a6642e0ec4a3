import Scheduling
import Testing

@Suite struct SharesTests {
  /// Units of these costs, one behind the other in files of 25.
  static func units(_ costs: [Double]) -> [JobUnit] {
    costs.enumerated().map { JobUnit(cost: $1, path: "shard-\($0 / 25)", offset: $0 % 25, byteCount: 1) }
  }

  @Test(
    "every unit is in one share, shares follow the files and cost as much",
    arguments: [1, 2, 3, 5, 8], [0, 1, 7, 64, 203])
  func cut(rankCount: Int, unitCount: Int) {
    let costs = (0..<unitCount).map { Double(1 + $0 * 37 % 11) }
    let shares = Shares(Self.units(costs), nodeOfRank: Array(repeating: 0, count: rankCount))
    #expect(shares.lists.flatMap { $0 }.sorted() == Array(0..<unitCount))
    #expect(shares.partCount == unitCount)
    // The units are numbered as they lie, so that each share is one stretch of numbers.
    for list in shares.lists where !list.isEmpty { #expect(list == Array(list[0]..<list[0] + list.count)) }
    let even = costs.reduce(0, +) / Double(rankCount)
    for list in shares.lists {
      #expect(abs(list.reduce(0) { $0 + costs[$1] } - even) <= 11, "\(list)")
    }
  }

  @Test("a rank does its share in the job's order, which is not the files'")
  func order() {
    let units = (0..<6).map { JobUnit(cost: 1, path: "shard", offset: -$0, byteCount: 1) }
    #expect(Shares(units, nodeOfRank: [0, 0]).lists == [[3, 4, 5], [0, 1, 2]])
  }

  @Test("ranks of one node get neighbouring stretches, however the launcher numbers them")
  func nodes() {
    let shares = Shares(Self.units(Array(repeating: 1, count: 16)), nodeOfRank: [7, 2, 7, 2])
    #expect(shares.lists == [[8, 9, 10, 11], [0, 1, 2, 3], [12, 13, 14, 15], [4, 5, 6, 7]])
  }

  @Test("what a rank does in teams lessens its share, down to nothing")
  func teams() {
    let teams = [Team(unit: 1, ranks: 0..<2), Team(unit: 0, ranks: 0..<2)]
    let costs = [8.0, 12] + Array(repeating: 1, count: 16)
    let shares = Shares(Self.units(costs), nodeOfRank: [0, 0, 0, 0], teams: teams)
    #expect(shares.teams.map { $0.map(\.unit) } == [[0, 1], [0, 1], [], []])
    #expect(shares.lists.map(\.count) == [0, 0, 8, 8])
    #expect(shares.partCount == 20)
    let more = Shares(Self.units([4] + Array(repeating: 1, count: 16)), nodeOfRank: [0, 0], teams: [])
    #expect(more.lists.map(\.count) == [7, 10])
    let busy = Shares(
      Self.units([4] + Array(repeating: 1, count: 16)), nodeOfRank: [0, 0, 0],
      teams: [Team(unit: 0, ranks: 0..<2)])
    #expect(busy.lists.map(\.count) == [5, 4, 7])
  }

  @Test("finished units are in no share and no team, and an idle rank gets none")
  func finished() {
    let teams = [Team(unit: 0, ranks: 1..<3), Team(unit: 1, ranks: 1..<3)]
    let shares = Shares(
      Self.units(Array(repeating: 1, count: 10)), nodeOfRank: [0, 0, 0], teams: teams, finished: [1, 5, 6],
      idleRank: 0)
    #expect(shares.lists == [[], [2, 3, 4], [7, 8, 9]])
    #expect(shares.teams.map { $0.map(\.unit) } == [[], [0], [0]])
    #expect(shares.partCount == 8)
  }
}
