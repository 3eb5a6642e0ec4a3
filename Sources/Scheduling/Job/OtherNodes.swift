/// What a rank knows of the other nodes' lists, and whom it asks for work.
///
/// Each answer tells what its node has left. Lists never grow: a node that has once been empty is not asked again.
struct OtherNodes {
  private let nodes: [[Int]]
  private let ownRank: Int
  private var remainingCosts: [Double]
  /// Nodes that had too little left for a rank with something to do.
  private var refused: Set<Int> = []
  private var asked: Int?

  /// Begins with the shares, of which nothing is done yet.
  init(_ places: RankPlaces, rank: Int, shares: Shares, units: [JobUnit]) {
    nodes = places.nodes
    ownRank = rank
    remainingCosts = places.nodes.map { ranks in
      ranks.reduce(0) { $0 + shares.lists[$1].reduce(0) { $0 + units[$1].cost } }
    }
    remainingCosts[places.nodeOfRank[rank]] = 0
  }

  /// The rank to ask now, if there is any; it must then be asked.
  ///
  /// - Parameter isIdle: Whether this rank has nothing to do.
  /// - Returns: Nil while an answer is on its way, and when no node has anything for this rank.
  mutating func next(isIdle: Bool) -> Int? {
    guard asked == nil else { return nil }
    if isIdle { refused = [] }
    let candidates = nodes.indices.filter { remainingCosts[$0] > 0 && !refused.contains($0) }
    guard let node = candidates.max(by: { remainingCosts[$0] < remainingCosts[$1] }) else { return nil }
    asked = node
    // Rank 0 may be writing; and not everyone should ask the same one.
    let ranks = nodes[node].count > 1 ? nodes[node].filter { $0 != 0 } : nodes[node]
    return ranks[ownRank % ranks.count]
  }

  /// Whether an answer is on its way.
  var isAsking: Bool { asked != nil }

  /// Notes an answer.
  mutating func note(_ answer: StealAnswer) {
    guard let node = asked else { preconditionFailure("an answer came that nobody asked for") }
    asked = nil
    remainingCosts[node] = answer.remainingCost
    if answer.units.isEmpty { refused.insert(node) }
  }
}

/// What a rank answers that was asked for work.
struct StealAnswer: Equatable {
  /// Units that the asking rank does now.
  var units: [Int]
  /// The cost of what the node has left.
  var remainingCost: Double

  init(units: [Int], remainingCost: Double) {
    self.units = units
    self.remainingCost = remainingCost
  }

  /// The answer as it travels: numbers of eight bytes.
  var encoded: [UInt8] {
    UnitNumber.encode(Int(bitPattern: UInt(remainingCost.bitPattern))) + units.flatMap(UnitNumber.encode)
  }

  init(decoding bytes: [UInt8]) {
    let numbers = stride(from: 0, to: bytes.count, by: UnitNumber.byteCount).map {
      UnitNumber.decode(bytes[$0...])
    }
    remainingCost = Double(bitPattern: UInt64(UInt(bitPattern: numbers[0])))
    units = Array(numbers.dropFirst())
  }
}
