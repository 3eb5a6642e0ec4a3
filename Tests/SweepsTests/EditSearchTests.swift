import Adapters
import Sweeps
import Testing

/// The search against functions whose optimum is known.
@Suite struct EditSearchTests {
  @Test("switches that each help or hurt by themselves: the optimum is found, for either goal")
  func independent() throws {
    let effects = (0..<24).map { Double(($0 * 7) % 24 - 14) + 0.5 }
    let optimum = effects.filter { $0 > 0 }.reduce(0, +)
    for goal in [SweepPlan.Search.Goal.maximise, .minimise] {
      let sign = goal == .maximise ? 1.0 : -1
      var search = EditSearch(switchCount: 24, budget: 60, seed: 3, goal: goal)
      try search.run { $0.map { off in sign * off.reduce(0) { $0 + effects[$1] } } }
      let best = try #require(search.best)
      #expect(best.value == sign * optimum)
      #expect(best.off == Set(effects.indices.filter { effects[$0] > 0 }))
    }
  }

  @Test("two switches that help only together are found by change")
  func together() throws {
    var search = EditSearch(switchCount: 6, budget: 60, seed: 1, goal: .maximise)
    try search.run { $0.map { $0.isSuperset(of: [2, 5]) ? 10 : -Double($0.count) } }
    #expect(search.best?.value == 10)
  }

  @Test(
    "the budget is kept, nothing is tried twice, and a small space is left when it is exhausted",
    arguments: [1, 2, 7, 31, 100])
  func budget(_ budget: Int) throws {
    var tried: [Set<Int>] = []
    var search = EditSearch(switchCount: 5, budget: budget, seed: 9, goal: .maximise)
    try search.run { batch in
      tried += batch
      return batch.map { Double($0.contains(3) ? 1 : 0) - 0.1 * Double($0.count) }
    }
    #expect(tried.first == [])
    #expect(Set(tried).count == tried.count)
    #expect(tried.count == min(budget, 32) || (budget > 32 && tried.count > 24))
  }

  @Test("the seed alone decides what is tried: again the same, another seed another order")
  func seeds() throws {
    func tries(seed: UInt64) throws -> [Set<Int>] {
      var tried: [Set<Int>] = []
      var search = EditSearch(switchCount: 12, budget: 40, seed: seed, goal: .maximise)
      try search.run { batch in
        tried += batch
        return batch.map { Double($0.reduce(0) { $0 * 3 + $1 } % 7) }
      }
      return tried
    }
    #expect(try tries(seed: 5) == tries(seed: 5))
    #expect(try tries(seed: 5) != tries(seed: 6))
  }

  @Test("evaluations without a value are never best and stop nothing")
  func failures() throws {
    var search = EditSearch(switchCount: 6, budget: 30, seed: 2, goal: .maximise)
    try search.run { $0.map { $0.contains(1) || $0.isEmpty ? nil : -Double($0.count) } }
    let best = try #require(search.best)
    #expect(best.value == -1 && !best.off.contains(1))
    var hopeless = EditSearch(switchCount: 4, budget: 30, seed: 2, goal: .maximise)
    try hopeless.run { $0.map { _ in nil } }
    #expect(hopeless.best == nil)
  }

  @Test("switches cover every singular value of every type once, and an edit leaves out what is off")
  func switches() {
    let switches = TripletSwitch.all(
      ranks: ["a.0.q": 8, "a.1.q": 5, "a.0.up": 3], blockLength: 4)
    #expect(switches.map(\.type) == ["q", "q", "up"])
    #expect(switches.map(\.numbers) == [0...3, 4...7, 0...2])
    let edit = TripletEdit(off: [0, 1, 2], of: switches)
    #expect(edit.kept(of: "a.1.q", count: 5).isEmpty && edit.kept(of: "a.0.up", count: 3).isEmpty)
    let one = TripletEdit(off: [1], of: switches)
    #expect(one.kept(of: "a.0.q", count: 8) == [0, 1, 2, 3] && one.text == "drop: {q: \"4-7\"}")
    #expect(one.yaml(name: "best") == "- name: best\n  drop:\n    q: \"4-7\"\n")
  }
}
