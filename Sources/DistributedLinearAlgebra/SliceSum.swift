package import LinearAlgebra
package import MPI

/// A sum over the slices of a stack whose bits do not depend on how many ranks hold them.
///
/// The additions are those of one binary tree over the slices' numbers: node i of a level is the sum of nodes 2i
/// and 2i + 1 of the level below, as far as they exist. A rank adds up what lies inside its run as the slices come
/// by, with one partial sum a level in memory; only nodes whose halves are on different ranks travel.
package final class SliceSum {
  private let deal: SliceDeal
  private let shape: (rows: Int, columns: Int)
  private var partial: [Node: SharedTerm] = [:]
  private var spare: [SharedTerm] = []

  /// 2^level slices from number `index`·2^level on, as far as they exist.
  private struct Node: Hashable {
    var level: Int
    var index: Int

    var parent: Node { Node(level: level + 1, index: index / 2) }
    var firstSlice: Int { index << level }
    var isLeft: Bool { index.isMultiple(of: 2) }
    var sibling: Node { Node(level: level, index: index ^ 1) }
  }

  /// One matrix in a dictionary.
  private final class SharedTerm {
    let matrix: Matrix<Float>

    init(rows: Int, columns: Int) { matrix = Matrix(uninitializedRows: rows, columns: columns) }
  }

  /// An empty sum of matrices of one shape.
  package init(rows: Int, columns: Int, deal: SliceDeal) {
    shape = (rows, columns)
    self.deal = deal
  }

  /// Adds a slice's term.
  ///
  /// - Parameters:
  ///   - slice: One that this rank holds; each once.
  ///   - fill: Writes the term into a block of zeros.
  package func add(slice: Int, fill: (MatrixView<Float>) throws -> Void) rethrows {
    let term = spare.popLast() ?? SharedTerm(rows: shape.rows, columns: shape.columns)
    term.matrix.view.fill(0)
    try fill(term.matrix.view)
    let node = Node(level: 0, index: slice)
    precondition(partial.updateValue(term, forKey: node) == nil, "a slice is added once")
    merge(from: node)
  }

  /// Collective: the sum over all slices, on every rank.
  ///
  /// - Throws: An `MPIError` if MPI reports one.
  package func total(over world: borrowing Communicator) throws -> Matrix<Float> {
    var level = 0
    while nodeCount(atLevel: level) > 1 {
      let count = nodeCount(atLevel: level)
      for index in stride(from: 1, to: count, by: 2) { try join(Node(level: level, index: index), world) }
      if !count.isMultiple(of: 2) { promote(Node(level: level, index: count - 1)) }
      level += 1
    }
    // Slice 0, and with it the root, is always on rank 0.
    let result = Matrix<Float>(uninitializedRows: shape.rows, columns: shape.columns)
    if let term = partial[Node(level: level, index: 0)] { result.view.copy(from: term.matrix.view) }
    try world.broadcast(inPlace: result.view.elements, root: 0)
    partial = [:]
    return result
  }

  /// Adds the right half of a node to its left half, wherever both are.
  private func join(_ right: Node, _ world: borrowing Communicator) throws {
    let left = right.sibling
    let (target, source) = (deal.holder(ofSlice: left.firstSlice), deal.holder(ofSlice: right.firstSlice))
    guard target != source else {
      if world.rank == target { merge(from: right) }
      return
    }
    if world.rank == source {
      guard let term = partial.removeValue(forKey: right) else { preconditionFailure("a slice is missing") }
      try world.send(term.matrix.view.elements, to: target, tag: sliceSumTag)
      spare.append(term)
    } else if world.rank == target {
      let term = spare.popLast() ?? SharedTerm(rows: shape.rows, columns: shape.columns)
      try world.receive(into: term.matrix.view.elements, from: source, tag: sliceSumTag)
      partial[right] = term
      merge(from: right)
    }
  }

  /// Adds halves that are both here, upwards from a node.
  private func merge(from node: Node) {
    var node = node
    while true {
      let (left, right) = node.isLeft ? (node, node.sibling) : (node.sibling, node)
      guard let sum = partial[left], let term = partial[right] else { return }
      sum.matrix.view.add(term.matrix.view)
      partial[right] = nil
      partial[left] = nil
      spare.append(term)
      partial[node.parent] = sum
      node = node.parent
    }
  }

  /// The last node of a level, if it has no right half beside it, is its parent's sum.
  private func promote(_ node: Node) {
    guard let term = partial.removeValue(forKey: node) else { return }
    partial[node.parent] = term
    merge(from: node.parent)
  }

  private func nodeCount(atLevel level: Int) -> Int { (deal.sliceCount + (1 << level) - 1) >> level }
}

/// Every message of these sums is expected, in one order on both sides.
private let sliceSumTag = 11
