import Scheduling
import Testing

@Suite struct DispatcherTests {
  @Test("every unit is given out once, in order, and finished once", arguments: [1, 2, 3, 7], [0, 1, 5, 40])
  func givesOutAll(rankCount: Int, unitCount: Int) {
    var dispatcher = Dispatcher(costs: Array(repeating: 1, count: unitCount), rankCount: rankCount)
    var given: [Int] = []
    while !dispatcher.isDone {
      var held: [Int] = []
      for rank in 0..<rankCount {
        while let unit = dispatcher.next(for: rank)?.unit {
          given.append(unit)
          held.append(rank)
        }
      }
      #expect(!held.isEmpty, "units are left and nobody has any")
      for rank in held { dispatcher.finish(onRank: rank) }
    }
    #expect(given == Array(0..<unitCount))
  }

  @Test("ranks hold units ahead while there are plenty, and one at the end")
  func window() {
    var dispatcher = Dispatcher(costs: Array(repeating: 1, count: 20), rankCount: 2)
    for _ in 0..<3 { #expect(dispatcher.next(for: 0) != nil) }
    #expect(dispatcher.next(for: 0) == nil)
    var last = Dispatcher(costs: [1, 1, 1], rankCount: 2)
    #expect(last.next(for: 0)?.unit == 0)
    #expect(last.next(for: 0) == nil)
    #expect(last.next(for: 1)?.unit == 1)
  }

  @Test("no rank holds a large unit ahead that others could begin with")
  func largeUnits() {
    var dispatcher = Dispatcher(costs: [8, 8, 8, 1, 1, 1, 1], rankCount: 2)
    #expect(dispatcher.next(for: 0)?.unit == 0)
    #expect(dispatcher.next(for: 1)?.unit == 1)
    #expect(dispatcher.next(for: 0) == nil, "the third would leave four for rank 1")
    dispatcher.finish(onRank: 1)
    #expect(dispatcher.next(for: 1)?.unit == 2)
    // Four small ones are left: one may be held ahead, which leaves three.
    #expect(dispatcher.next(for: 0)?.unit == 3)
  }

  @Test("a rank does its teams' units first, in their order, and then goes over to the queue by itself")
  func teams() {
    let teams = [Team(unit: 0, ranks: 0..<2), Team(unit: 2, ranks: 0..<4), Team(unit: 1, ranks: 2..<4)]
    var dispatcher = Dispatcher(costs: Array(repeating: 1, count: 6), rankCount: 4, teams: teams)
    #expect(dispatcher.next(for: 0) == Team(unit: 0, ranks: 0..<2))
    #expect(dispatcher.next(for: 0) == Team(unit: 2, ranks: 0..<4))
    #expect(dispatcher.next(for: 0) == nil, "three units are left for four ranks: none is held ahead")
    #expect(dispatcher.next(for: 3)?.unit == 1)
    #expect(dispatcher.next(for: 3)?.unit == 2)
    dispatcher.finish(onRank: 0)
    dispatcher.finish(onRank: 0)
    // Rank 0 takes from the queue although the team of rank 3 has not finished.
    #expect(dispatcher.next(for: 0) == Team(unit: 3, ranks: 0..<1))
    #expect(!dispatcher.isDone)
  }
}
