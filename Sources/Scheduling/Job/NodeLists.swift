package import MPI

/// The lists of the ranks of one node, from which any of them takes units, each unit once.
///
/// The lists themselves never change, and every rank knows them: shared is only, in one word a list, how many units
/// have been taken from its front, by its owner, and from its back, by others.
package struct NodeLists: Sendable {
  private let units: [[Int]]
  /// The cost of the first n units of each list.
  private let sums: [[Double]]
  private let costs: [Double]
  private let words: SharedWords

  /// Lists that nobody has taken anything from.
  ///
  /// - Parameters:
  ///   - units: One list a rank of the node.
  ///   - costs: What each unit of the job takes.
  ///   - words: One a list.
  package init(_ units: [[Int]], costs: [Double], words: SharedWords) {
    precondition(words.count == units.count)
    self.units = units
    self.costs = costs
    sums = units.map { list in
      list.reduce(into: [0]) { $0.append($0[$0.count - 1] + costs[$1]) }
    }
    self.words = words
  }

  /// A unit that was taken.
  package struct Taken: Equatable {
    package let unit: Int
    /// Whether it was taken from another rank's list.
    package let isStolen: Bool
  }

  /// What a rank has taken and not finished.
  package struct HeldWork: Sendable {
    package var count = 0
    package var cost = 0.0

    package init(count: Int = 0, cost: Double = 0) {
      self.count = count
      self.cost = cost
    }

    /// What must be left for each rank of the node if a rank that has something takes a unit more.
    ///
    /// A second is read meanwhile; a third only bridges the time in which nobody looks, and would wait behind
    /// whatever is in work.
    func leastLeft(afterTaking cost: Double) -> Double {
      count == 1 ? cost : 2 * (self.cost + cost)
    }
  }

  /// The cost of all units that nobody has taken.
  package var remainingCost: Double {
    units.indices.reduce(0) { $0 + remainingCost(of: $1, words[$1]) }
  }

  /// Takes the next unit for a rank of the node: its own first one, or else the last one of whose list holds most.
  ///
  /// - Parameters:
  ///   - member: The rank's place in the node; nil for a rank of another node.
  ///   - held: What the rank has already; one that has something gets nothing that would be missed at the end.
  /// - Returns: Nil if there is nothing for this rank.
  package func take(by member: Int?, held: HeldWork) -> Taken? {
    while true {
      let seen = units.indices.map { words[$0] }
      let remaining = units.indices.map { remainingCost(of: $0, seen[$0]) }
      let isOwn = member.map { untaken(of: $0, seen[$0]).isEmpty == false } ?? false
      guard let list = isOwn ? member : fullest(seen, remaining) else { return nil }
      let range = untaken(of: list, seen[list])
      let index = isOwn ? range.lowerBound : range.upperBound - 1
      let cost = costs[units[list][index]]
      // A rank that has nothing gets a unit whatever is left, which rounding may make less than nothing.
      if held.count > 0 {
        let left = remaining.reduce(0, +) - cost
        guard left >= held.leastLeft(afterTaking: cost) * Double(units.count) else { return nil }
      }
      let taken = isOwn ? seen[list] + 1 : seen[list] + 1 << 32
      if words.replace(list, seen[list], with: taken) {
        return Taken(unit: units[list][index], isStolen: !isOwn)
      }
    }
  }

  /// Takes units for a rank of another node, which has a long way: several if they are small.
  ///
  /// - Parameters:
  ///   - held: What that rank has already.
  ///   - rankCount: The ranks of the job: each ask gets at most half an even share of what is left.
  /// - Returns: None if there is nothing for that rank.
  package func give(held: HeldWork, rankCount: Int) -> [Int] {
    let limit = remainingCost / Double(2 * rankCount)
    var given: [Int] = []
    var sum = 0.0
    var held = held
    while given.count < Self.largestGift, sum <= limit, let taken = take(by: nil, held: held) {
      given.append(taken.unit)
      sum += costs[taken.unit]
      held.count = max(1, held.count)
    }
    return given
  }

  /// Keeps an answer below 256 bytes, which leave at once.
  private static let largestGift = 16

  private func fullest(_ seen: [UInt64], _ remaining: [Double]) -> Int? {
    units.indices.filter { !untaken(of: $0, seen[$0]).isEmpty }.max { remaining[$0] < remaining[$1] }
  }

  private func untaken(of list: Int, _ word: UInt64) -> Range<Int> {
    Int(word & 0xFFFF_FFFF)..<units[list].count - Int(word >> 32)
  }

  private func remainingCost(of list: Int, _ word: UInt64) -> Double {
    let range = untaken(of: list, word)
    return sums[list][range.upperBound] - sums[list][range.lowerBound]
  }
}
