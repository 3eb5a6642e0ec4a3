/// Looks for the set of switches to turn off that gives the best value, within a budget of evaluations.
///
/// First nothing is turned off, then each switch alone in a drawn order; then those that helped alone, the best two,
/// three and so on together; then the best set so far is changed at random, one switch as a rule and sometimes more.
/// What is tried depends on the seed and on the values alone: batches are of fixed sizes and their values are looked
/// at together, so that any number of evaluators, and a search that was stopped and goes on, try the same.
package struct EditSearch {
  private let switchCount: Int
  private let budget: Int
  private let isBetter: (Double, Double) -> Bool
  private var draws: SeededDraws
  private var tried: Set<Set<Int>> = []
  private var triedCount = 0
  package private(set) var best: (off: Set<Int>, value: Double)?

  /// Changes of the best set that are evaluated before any of them is looked at.
  private static let batchCount = 8
  /// Drawn changes that were all tried before: then there is nothing new near the best set.
  private static let patience = 200

  /// A search over some switches.
  ///
  /// - Parameters:
  ///   - switchCount: How many there are.
  ///   - budget: Sets to evaluate at most, at least 1.
  ///   - seed: Of every drawn choice.
  ///   - goal: Which values are better.
  package init(switchCount: Int, budget: Int, seed: UInt64, goal: SweepPlan.Search.Goal) {
    self.switchCount = switchCount
    self.budget = budget
    draws = SeededDraws(seed: seed)
    isBetter = goal == .maximise ? { $0 > $1 } : { $0 < $1 }
  }

  /// Searches.
  ///
  /// - Parameter evaluate: Gets sets of switches that are off, none of them twice; returns their values in the same
  ///   order, nil for one that has none.
  /// - Throws: What `evaluate` throws.
  package mutating func run(_ evaluate: ([Set<Int>]) throws -> [Double?]) throws {
    let whole = try tryOut([[]], evaluate)[0]
    let helpful = try switchesThatHelp(whole: whole, evaluate)
    try combine(helpful, evaluate)
    try vary(evaluate)
  }

  /// Switches whose turning off gives more than nothing off, the best first; half of the budget at most.
  private mutating func switchesThatHelp(whole: Double?, _ evaluate: ([Set<Int>]) throws -> [Double?]) throws
    -> [Int]
  {
    let order = draws.order(of: switchCount).prefix(max(1, budget / 2))
    let values = try tryOut(order.map { [$0] }, evaluate)
    let isBetter = isBetter
    return zip(order, values)
      .compactMap { index, value in value.map { (index: index, value: $0) } }
      .filter { found in whole.map { isBetter(found.value, $0) } ?? true }
      .sorted { $0.value == $1.value ? $0.index < $1.index : isBetter($0.value, $1.value) }
      .map(\.index)
  }

  /// The best two, three and so on together, evenly spread where there are too many for half of what is left.
  private mutating func combine(_ helpful: [Int], _ evaluate: ([Set<Int>]) throws -> [Double?]) throws {
    guard helpful.count > 1 else { return }
    let room = max(1, (budget - triedCount + 1) / 2)
    let step = max(1, (helpful.count - 1 + room - 1) / room)
    let counts = stride(from: helpful.count, through: 2, by: -step)
    _ = try tryOut(counts.map { Set(helpful.prefix($0)) }, evaluate)
  }

  private mutating func vary(_ evaluate: ([Set<Int>]) throws -> [Double?]) throws {
    while triedCount < budget, let best {
      let batch = changes(of: best.off)
      guard !batch.isEmpty else { return }
      _ = try tryOut(batch, evaluate)
    }
  }

  private mutating func changes(of off: Set<Int>) -> [Set<Int>] {
    var batch: [Set<Int>] = []
    var failures = 0
    while batch.count < Self.batchCount && failures < Self.patience {
      var change = off
      repeat {
        let index = draws.number(below: switchCount)
        if change.remove(index) == nil { change.insert(index) }
      } while draws.number(below: 2) == 0
      if tried.contains(change) || batch.contains(change) {
        failures += 1
      } else {
        batch.append(change)
      }
    }
    return batch
  }

  /// Evaluates sets as far as the budget goes; nil stands for those beyond it too.
  private mutating func tryOut(_ sets: [Set<Int>], _ evaluate: ([Set<Int>]) throws -> [Double?]) throws
    -> [Double?]
  {
    let batch = Array(sets.prefix(budget - triedCount))
    guard !batch.isEmpty else { return sets.map { _ in nil } }
    let values = try evaluate(batch)
    for (off, value) in zip(batch, values) {
      tried.insert(off)
      if let value, best.map({ isBetter(value, $0.value) }) ?? true { best = (off, value) }
    }
    triedCount += batch.count
    return values + sets.dropFirst(batch.count).map { _ in nil }
  }
}
