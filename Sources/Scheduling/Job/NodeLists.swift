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

  /// The cost of all units that nobody has taken.
  package var remainingCost: Double {
    units.indices.reduce(0) { $0 + remainingCost(of: $1, words[$1]) }
  }

  /// Takes the next unit for a rank of the node: its own first one, or else the last one of whose list holds most.
  ///
  /// - Parameters:
  ///   - member: The rank's place in the node; nil for a rank of another node.
  ///   - isIdle: Whether the rank has nothing to do; others get nothing that would be missed at the end.
  /// - Returns: Nil if there is nothing for this rank.
  package func take(by member: Int?, isIdle: Bool) -> Taken? {
    while true {
      let seen = units.indices.map { words[$0] }
      let remaining = units.indices.map { remainingCost(of: $0, seen[$0]) }
      let isOwn = member.map { untaken(of: $0, seen[$0]).isEmpty == false } ?? false
      guard let list = isOwn ? member : fullest(seen, remaining) else { return nil }
      let range = untaken(of: list, seen[list])
      let index = isOwn ? range.lowerBound : range.upperBound - 1
      let cost = costs[units[list][index]]
      // Plenty is as much for everyone, after this one.
      let isPlenty = remaining.reduce(0, +) - cost >= cost * Double(units.count)
      guard isIdle || isPlenty else { return nil }
      let taken = isOwn ? seen[list] + 1 : seen[list] + 1 << 32
      if words.replace(list, seen[list], with: taken) {
        return Taken(unit: units[list][index], isStolen: !isOwn)
      }
    }
  }

  /// Takes units for a rank of another node, which has a long way: several if they are small.
  ///
  /// - Parameters:
  ///   - isIdle: Whether that rank has nothing to do.
  ///   - rankCount: The ranks of the job: each ask gets at most half an even share of what is left.
  package func give(isIdle: Bool, rankCount: Int) -> [Int] {
    let limit = remainingCost / Double(2 * rankCount)
    var given: [Int] = []
    var sum = 0.0
    while given.count < Self.largestGift, let taken = take(by: nil, isIdle: isIdle && given.isEmpty) {
      given.append(taken.unit)
      sum += costs[taken.unit]
      if sum >= limit { break }
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
