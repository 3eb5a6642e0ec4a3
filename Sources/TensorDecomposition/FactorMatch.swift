internal import LinearAlgebra

/// How alike two Kruskal tensors are, component by component, with the best matching there is.
public struct FactorMatch: Sendable {
  /// The mean over the components of the smaller one of (1 − |λ − λ'| / max(λ, λ'))·Πₙ|cos(aₙ, aₙ')|; 1 if equal.
  public let score: Double
  /// The component of the second tensor for each of the first; nil for those left over.
  public let partners: [Int?]
  /// The term of each component of the first, in 0...1; zero for those left over.
  public let scores: [Double]

  /// Matches two tensors of one shape by the Hungarian method.
  public init(_ first: KruskalTensor, _ second: KruskalTensor) {
    precondition(first.shape == second.shape, "tensors of different shapes have no common components")
    guard first.rank <= second.rank else {
      let other = FactorMatch(second, first)
      var (partners, scores) = (
        [Int?](repeating: nil, count: first.rank), Array(repeating: 0.0, count: first.rank)
      )
      for case (let index, let partner?) in other.partners.enumerated() {
        (partners[partner], scores[partner]) = (index, other.scores[index])
      }
      (self.partners, self.scores, score) = (partners, scores, other.score)
      return
    }
    let (a, b) = (first.unitised(), second.unitised())
    let cosines = hadamard(
      zip(a.factors, b.factors).map { SharedMatrix(rowProducts($0.matrix, $1.matrix)) }, rows: a.rank,
      columns: b.rank)
    let table = (0..<a.rank).map { row in
      (0..<b.rank).map { column in
        let (own, other) = (a.weights[row], b.weights[column])
        let larger = max(own, other)
        return abs(cosines[row, column]) * (larger > 0 ? 1 - abs(own - other) / larger : 1)
      }
    }
    let assignment = Assignment(rowCount: a.rank, columnCount: b.rank) { table[$0][$1] }
    partners = assignment.columns
    scores = assignment.columns.enumerated().map { table[$0][$1] }
    score = a.rank > 0 ? assignment.total / Double(a.rank) : 1
  }
}

extension KruskalTensor {
  /// Unit vectors and weights that are not negative, in the order they have.
  fileprivate func unitised() -> KruskalTensor {
    var sizes = weights.map(abs)
    let units = factors.map { factor in
      let norms = factor.matrix.rowNorms()
      for component in 0..<rank { sizes[component] *= norms[component] }
      return SharedMatrix(factor.matrix.scalingRows(by: norms.map { $0 > 0 ? 1 / $0 : 0 }))
    }
    return KruskalTensor(weights: sizes, factors: units)
  }
}
