internal import LinearAlgebra

/// What two updates of one module have in common.
public struct ModuleOverlap: Sendable, Codable, Equatable {
  /// The module's path.
  public var module: String
  /// Outputs and inputs.
  public var shape: [Int]
  /// Directions of both updates that are no rounding noise.
  public var ranks: [Int]
  /// ‖Δ‖_F of both.
  public var norms: [Double]
  /// ⟨Δ_A, Δ_B⟩ / (‖Δ_A‖·‖Δ_B‖).
  public var cosine: Double
  /// How much of A is in B's subspaces.
  public var firstInSecond: SideEnergies
  /// How much of B is in A's subspaces.
  public var secondInFirst: SideEnergies
  /// What A would have of B by chance, and B of A.
  public var chance: [SideEnergies]
  /// Cosines of the principal angles between the subspaces of the outputs, descending.
  public var outputCosines: [Double]
  /// The same of the inputs.
  public var inputCosines: [Double]
  /// For each singular direction of A, strongest first, how much of it is in B's subspaces.
  public var directions: [Direction]

  /// One singular direction of an update.
  public struct Direction: Sendable, Codable, Equatable {
    /// Its singular value.
    public var value: Double
    /// How much of it is in the other's subspaces.
    public var part: SideEnergies
  }

  /// Compares two updates.
  ///
  /// - Parameters:
  ///   - module: The module's path.
  ///   - first: A's update.
  ///   - second: B's.
  /// - Throws: `LAPACKError` if a small decomposition fails.
  package init(_ module: String, _ first: UpdateSubspaces, _ second: UpdateSubspaces) throws {
    let outputs = innerProducts(first.outputs, second.outputs)
    let inputs = innerProducts(first.inputs, second.inputs)
    self.module = module
    shape = [first.outputs.columnCount, first.inputs.columnCount]
    ranks = [first.rank, second.rank]
    norms = [first.energy.squareRoot(), second.energy.squareRoot()]
    var product = 0.0
    for row in 0..<first.rank {
      for column in 0..<second.rank {
        product += first.values[row] * second.values[column] * outputs[row, column] * inputs[row, column]
      }
    }
    let scale = norms[0] * norms[1]
    cosine = scale > 0 ? product / scale : 0
    directions = first.values.indices.map { row in
      let written = (0..<second.rank).reduce(0.0) { $0 + outputs[row, $1] * outputs[row, $1] }
      let read = (0..<second.rank).reduce(0.0) { $0 + inputs[row, $1] * inputs[row, $1] }
      return Direction(
        value: first.values[row],
        part: SideEnergies(
          outputs: min(1, written), inputs: min(1, read), both: min(1, written * read)))
    }
    let both = bothSides(outputs, inputs, first.values, second.values)
    let seconds = second.values.indices.map { column -> Direction in
      let written = (0..<first.rank).reduce(0.0) { $0 + outputs[$1, column] * outputs[$1, column] }
      let read = (0..<first.rank).reduce(0.0) { $0 + inputs[$1, column] * inputs[$1, column] }
      return Direction(
        value: second.values[column],
        part: SideEnergies(outputs: min(1, written), inputs: min(1, read), both: 0))
    }
    firstInSecond = SideEnergies(of: directions, both: both.first / max(first.energy, .leastNormalMagnitude))
    secondInFirst = SideEnergies(of: seconds, both: both.second / max(second.energy, .leastNormalMagnitude))
    chance = [second.rank, first.rank].map { [shape] in
      SideEnergies(byChanceWithRank: $0, outputCount: shape[0], inputCount: shape[1])
    }
    outputCosines = try cosines(outputs)
    inputCosines = try cosines(inputs)
  }
}

extension SideEnergies {
  /// Sums over orthogonal directions; on both sides at once directions mix, so that is given.
  fileprivate init(of directions: [ModuleOverlap.Direction], both: Double) {
    let mean = SideEnergies(mean: directions.map { ($0.value * $0.value, $0.part) })
    self.init(outputs: mean.outputs, inputs: mean.inputs, both: min(1, both))
  }
}

/// ‖P·Δ·Q‖² of each update in the other's subspaces.
///
/// In the other's coordinates it is Xᵀ·diag(σ)·Y, with X and Y the inner products of the directions of outputs and of
/// inputs: a matrix as small as the ranks.
private func bothSides(
  _ outputs: borrowing Matrix<Double>, _ inputs: borrowing Matrix<Double>, _ first: [Double],
  _ second: [Double]
) -> (first: Double, second: Double) {
  func energy(_ left: borrowing Matrix<Double>, _ right: borrowing Matrix<Double>) -> Double {
    let middle = product(left, right)
    var sum = 0.0
    for row in 0..<middle.rowCount {
      for column in 0..<middle.columnCount { sum += middle[row, column] * middle[row, column] }
    }
    return sum
  }
  return (
    energy(outputs.scalingRows(by: first).transposed(), inputs),
    energy(outputs.transposed().scalingRows(by: second).transposed(), inputs.transposed())
  )
}

private func innerProducts(_ left: SharedMatrix<Float>, _ right: SharedMatrix<Float>) -> Matrix<Double> {
  let result = Matrix<Double>(repeating: 0, rows: left.rowCount, columns: right.rowCount)
  addInnerProducts(left.matrix.view, right.matrix.view, into: result.view)
  return result
}

/// The singular values of inner products of two orthonormal sets, descending.
private func cosines(_ products: borrowing Matrix<Double>) throws -> [Double] {
  let isWide = products.columnCount > products.rowCount
  let narrow = isWide ? products.copy() : products.transposed()
  let gram = Matrix<Double>(repeating: 0, rows: narrow.rowCount, columns: narrow.rowCount)
  addGram(narrow.view, into: gram.view)
  return try SymmetricEigen(lowerTriangle: gram, wantsVectors: false).values
    .map { min(1, max(0, $0).squareRoot()) }
}
