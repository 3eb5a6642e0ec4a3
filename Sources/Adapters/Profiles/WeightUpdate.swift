internal import LinearAlgebra

/// The update of one two-dimensional weight of a model: a whole update of the adapter, or one expert's part of it.
struct WeightUpdate: Equatable {
  /// The path of the weight's module in a model whose experts are modules of their own.
  let path: String
  let isEmbedding: Bool
  /// The update in the adapter's order.
  let source: Int
  let rank: Int
  let inputCount: Int
  let outputCount: Int
  let scale: Double
  /// The expert, of a fused update.
  var expert: Expert?

  /// Which part of a fused update of experts is meant.
  struct Expert: Equatable {
    let index: Int
    let count: Int
    /// Whether A has the outputs and B the inputs, as PEFT had it before 0.19.1.
    let isReversed: Bool
    /// The first row of the expert's outputs, where gate and up lie one after the other.
    var firstOutput: Int
  }

  /// The factors of this weight, cut out of those of its update; the scale is not in them.
  func factors(of whole: UpdateFactors) -> UpdateFactors {
    guard let expert else { return whole }
    // With the factors the other way round, what is a row of A here is a column of B there.
    let ownRows = expert.index * rank..<(expert.index + 1) * rank
    let rowsOfA = whole.a.matrix.view.rows(ownRows)
    let a = Matrix<Float>(uninitializedRows: rank, columns: inputCount)
    let b = Matrix<Float>(uninitializedRows: outputCount, columns: rank)
    let outputs = expert.firstOutput..<expert.firstOutput + outputCount
    if expert.isReversed {
      rowsOfA.columns(outputs).transpose(into: b.view)
    } else {
      a.view.copy(from: rowsOfA)
    }
    for component in 0..<rank {
      let column = component * expert.count + expert.index
      let columnOfB = whole.b.matrix.view.columns(column..<column + 1)
      if expert.isReversed {
        columnOfB.transpose(into: a.view.rows(component..<component + 1))
      } else {
        b.view.columns(component..<component + 1).copy(from: columnOfB.rows(outputs))
      }
    }
    return UpdateFactors(a: a, b: b)
  }
}
