internal import Foundation
internal import MPI

/// Which ranks of a job share memory.
struct RankPlaces: Equatable, Sendable {
  /// The ranks of each node, ascending; nodes in the order of their first ranks.
  let nodes: [[Int]]
  /// The node of each rank.
  let nodeOfRank: [Int]

  /// Places from one number a rank, equal for ranks of one node.
  init(nodeNumbers: [Int]) {
    var nodes: [[Int]] = []
    var indices: [Int: Int] = [:]
    nodeOfRank = nodeNumbers.enumerated().map { rank, number in
      let index = indices[number] ?? nodes.count
      if index == nodes.count { nodes.append([]) }
      indices[number] = index
      nodes[index].append(rank)
      return index
    }
    self.nodes = nodes
  }

  /// Collective: finds out, and makes the words that each node's ranks share.
  ///
  /// Where MPI makes no shared window, each rank is a node of its own and is reached by messages.
  static func find(on world: borrowing Communicator) throws -> (places: RankPlaces, words: SharedWords) {
    let node = try world.splitByNode()
    let shared = try SharedWords(count: node.size, on: node)
    let first = Int(try node.allReduce([Double(world.rank)], .min)[0])
    try node.free()
    let numbers = try world.allGather(UnitNumber.encode(shared == nil ? world.rank : first))
    return (RankPlaces(nodeNumbers: numbers.map(UnitNumber.decode)), shared ?? SharedWords(count: 1))
  }
}
