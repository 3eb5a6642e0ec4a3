internal import LinearAlgebra

extension GroupTensors {
  /// How much of each component of one slice lies in the subspaces of another update, and its own energy.
  ///
  /// A slice is L·C·R with C the core (`tucker`), the weights on a diagonal (`cp`) or the identity (`shared`). A
  /// component has rank one: column c of L times row c of C·R, or column c of L·C times row c of R.
  ///
  /// - Parameters:
  ///   - slice: The slice's number.
  ///   - side: One that the group has.
  ///   - other: Whose subspaces.
  /// - Returns: One a component.
  func components(
    ofSlice slice: Int, _ side: ComponentSide, inside other: UpdateSubspaces
  ) -> [(energy: Double, part: SideEnergies)] {
    let parts = parts(ofSlice: slice)
    let left = SideProducts(of: parts.left.matrix.transposed(), with: other.outputs.matrix.view)
    let right = SideProducts(of: parts.right.matrix, with: other.inputs.matrix.view)
    let core = parts.core
    let count = side == .in ? core.columnCount : core.rowCount
    return (0..<count).map { component in
      let one = (0..<count).map { $0 == component ? 1.0 : 0 }
      let row = (0..<core.columnCount).map { side == .in ? one[$0] : Double(core.matrix[component, $0]) }
      let column = (0..<core.rowCount).map { side == .in ? Double(core.matrix[$0, component]) : one[$0] }
      let written = left.energies(column)
      let read = right.energies(row)
      let energy = written.whole * read.whole
      guard energy > 0 else { return (0, SideEnergies(outputs: 0, inputs: 0, both: 0)) }
      let outputs = min(1, written.inside / written.whole)
      let inputs = min(1, read.inside / read.whole)
      return (energy, SideEnergies(outputs: outputs, inputs: inputs, both: outputs * inputs))
    }
  }

  /// A slice as left · core · right.
  private func parts(
    ofSlice slice: Int
  ) -> (left: SharedMatrix<Float>, core: SharedMatrix<Float>, right: SharedMatrix<Float>) {
    let middle = SharedMatrix(middle(ofSlice: slice))
    func diagonal(_ values: [Float]) -> SharedMatrix<Float> {
      var matrix = Matrix<Float>(repeating: 0, rows: values.count, columns: values.count)
      for (index, value) in values.enumerated() { matrix[index, index] = value }
      return SharedMatrix(matrix)
    }
    func transposed(_ name: String) -> SharedMatrix<Float> { SharedMatrix(tensor(name).matrix.transposed()) }
    switch method {
    case .tucker: return (tensor("out_basis"), middle, transposed("in_basis"))
    case .cp: return (tensor("out"), diagonal(middle.matrix.elements), transposed("in"))
    case .shared:
      if let rank = record.outRank {
        return (tensor("out_basis"), diagonal(Array(repeating: 1, count: rank)), middle)
      }
      return (middle, diagonal(Array(repeating: 1, count: record.inRank ?? 0)), transposed("in_basis"))
    }
  }
}

/// The vectors of one side of a group, with their lengths and their inner products with another's directions.
private struct SideProducts: ~Copyable {
  private let squares: [Double]
  /// Directions × vectors.
  private let inside: Matrix<Float>

  /// Takes vectors as rows, and orthonormal rows.
  init(of vectors: borrowing Matrix<Float>, with directions: MatrixView<Float>) {
    squares = (0..<vectors.rowCount).map { vectors.view.rows($0..<$0 + 1).sumOfSquares() }
    inside = Matrix(uninitializedRows: directions.rowCount, columns: vectors.rowCount)
    multiply(directions, vectors.view.transposed, into: inside.view)
  }

  /// ‖v‖² of a sum of the vectors with weights, and of its part in the directions.
  ///
  /// Vectors of which more than one has a weight are those of a basis, and orthogonal to each other.
  borrowing func energies(_ weights: [Double]) -> (whole: Double, inside: Double) {
    let whole = zip(weights, squares).reduce(0) { $0 + $1.0 * $1.0 * $1.1 }
    var sum = 0.0
    for direction in 0..<inside.rowCount {
      let row = inside.view.row(direction)
      let value = weights.indices.reduce(0.0) { $0 + weights[$1] * Double(row[$1]) }
      sum += value * value
    }
    return (whole, sum)
  }
}
