import Foundation
import MPI
import Scheduling
import Synchronization
import TestSupport
import Testing

@Suite struct NodeListsTests {
  private typealias Held = NodeLists.HeldWork

  @Test("a rank takes its own first unit, and when it has none the last of whose list holds most")
  func order() {
    let lists = NodeLists(
      [[0, 1], [2, 3, 4], [5]], costs: [9, 9, 2, 2, 2, 7], words: SharedWords(count: 3))
    var taken: [NodeLists.Taken?] = []
    for _ in 0..<6 { taken.append(lists.take(by: 2, held: Held())) }
    #expect(taken.compactMap { $0?.unit } == [5, 1, 0, 4, 3, 2])
    #expect(taken.map { $0?.isStolen } == [false, true, true, true, true, true])
    #expect(lists.take(by: 0, held: Held()) == nil)
    #expect(lists.remainingCost == 0)
  }

  @Test("owners and thieves meet in the middle")
  func bothEnds() {
    let lists = NodeLists(
      [[0, 1, 2, 3, 4], []], costs: Array(repeating: 1, count: 5), words: SharedWords(count: 2))
    #expect((0..<2).map { _ in lists.take(by: 0, held: Held())?.unit } == [0, 1])
    #expect((0..<2).map { _ in lists.take(by: 1, held: Held())?.unit } == [4, 3])
    #expect(lists.remainingCost == 1)
    #expect(lists.take(by: 1, held: Held())?.unit == 2)
    #expect(lists.take(by: 0, held: Held()) == nil)
  }

  @Test("a rank that has nothing gets the last unit whatever the costs' rounding")
  func rounding() {
    let costs = (0..<50).map { Double($0 * 7 % 5) * 1e-3 }
    let lists = NodeLists([Array(0..<50)], costs: costs, words: SharedWords(count: 1))
    #expect((0..<50).allSatisfy { lists.take(by: 0, held: Held())?.unit == $0 })
  }

  @Test(
    "a rank that has something gets a second while that leaves one for each, a third while that leaves many")
  func hoarding() {
    func takes(_ unitCount: Int, _ held: Held) -> Bool {
      let half = unitCount / 2
      let lists = NodeLists(
        [Array(0..<half), Array(half..<unitCount)], costs: Array(repeating: 1, count: unitCount),
        words: SharedWords(count: 2))
      return lists.take(by: 0, held: held) != nil
    }
    #expect(takes(2, Held()))
    #expect(!takes(2, Held(count: 1, cost: 1)))
    #expect(takes(3, Held(count: 1, cost: 1)))
    #expect(!takes(12, Held(count: 2, cost: 2)))
    #expect(takes(13, Held(count: 2, cost: 2)))
  }

  @Test("another node gets one unit, or several that are less than half an even share")
  func gifts() {
    let small = NodeLists(
      [Array(0..<80)], costs: Array(repeating: 1, count: 80), words: SharedWords(count: 1))
    #expect(small.give(held: Held(count: 1), rankCount: 8) == [79, 78, 77, 76, 75, 74])
    #expect(small.remainingCost == 74)
    let large = NodeLists([[0, 1]], costs: [5, 5], words: SharedWords(count: 1))
    #expect(large.give(held: Held(count: 1), rankCount: 4) == [1], "one is left for the owner")
    #expect(large.give(held: Held(count: 1), rankCount: 4) == [])
    #expect(large.give(held: Held(), rankCount: 4) == [0])
    #expect(large.give(held: Held(), rankCount: 4) == [])
  }

  @Test("no unit is lost or done twice when all ranks take at once", arguments: 0..<20)
  func concurrent(seed: Int) {
    var random = SplitMix64(state: UInt64(seed))
    func number(below limit: Int) -> Int { min(limit - 1, Int(abs(random.nextUniform()) * Double(limit))) }
    let memberCount = 2 + number(below: 6)
    let unitCount = number(below: 60_000)
    let costs = (0..<unitCount).map { _ in Double(1 + number(below: 9)) }
    var lists = [[Int]](repeating: [], count: memberCount)
    // Most in one list, where all meet.
    for unit in 0..<unitCount { lists[number(below: 8) == 0 ? number(below: memberCount) : 0].append(unit) }
    let node = NodeLists(lists, costs: costs, words: SharedWords(count: memberCount))
    let all = Mutex<[Int]>([])
    DispatchQueue.concurrentPerform(iterations: memberCount + 1) { member in
      var own: [Int] = []
      if member < memberCount {
        while let taken = node.take(by: member, held: Held()) { own.append(taken.unit) }
      } else {
        // A rank of another node.
        while case let given = node.give(held: Held(), rankCount: 50), !given.isEmpty { own += given }
      }
      all.withLock { $0 += own }
    }
    #expect(all.withLock { $0.sorted() } == Array(0..<unitCount))
  }
}
