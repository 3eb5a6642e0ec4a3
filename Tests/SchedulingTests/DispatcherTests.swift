import Scheduling
import Testing

@Suite struct DispatcherTests {
  @Test("every unit is given out once, in order, and finished once", arguments: [1, 2, 3, 7], [0, 1, 5, 40])
  func givesOutAll(rankCount: Int, unitCount: Int) {
    var dispatcher = Dispatcher(unitCount: unitCount, rankCount: rankCount)
    var given: [Int] = []
    while !dispatcher.isDone {
      var held: [Int] = []
      for rank in 0..<rankCount {
        while let unit = dispatcher.nextUnit(for: rank) {
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
    var dispatcher = Dispatcher(unitCount: 20, rankCount: 2)
    for _ in 0..<3 { #expect(dispatcher.nextUnit(for: 0) != nil) }
    #expect(dispatcher.nextUnit(for: 0) == nil)
    var last = Dispatcher(unitCount: 4, rankCount: 2)
    #expect(last.nextUnit(for: 0) == 0)
    #expect(last.nextUnit(for: 0) == nil)
    #expect(last.nextUnit(for: 1) == 1)
  }
}
