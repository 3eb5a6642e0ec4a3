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
    let left = SideProducts(of: parts.left.matrix.view.transposed, with: other.outputs.matrix.view)
    let right = SideProducts(of: parts.right.matrix.view, with: other.inputs.matrix.view)
    let core = parts.core
    let count = side == .in ? core.columnCount : core.rowCount
    return (0..<count).map { component in
      let written =
        side == .in
        ? left.energies(ofSum: (0..<core.rowCount).map { Double(core.matrix[$0, component]) })
        : left.energies(of: component)
      let read =
        side == .in
        ? right.energies(of: component)
        : right.energies(ofSum: (0..<core.columnCount).map { Double(core.matrix[component, $0]) })
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

/// The vectors of one side of a group, with their inner products among each other and with another's directions.
private struct SideProducts: ~Copyable {
  private let gram: Matrix<Double>
  /// Directions × vectors.
  private let inside: Matrix<Float>

  /// Takes the rows of `vectors` and orthonormal rows.
  init(of vectors: some Factor<Float>, with directions: MatrixView<Float>) {
    gram = gramMatrix(vectors)
    inside = Matrix(uninitializedRows: directions.rowCount, columns: gram.rowCount)
    if vectors.orientation == .transposed {
      multiply(directions, vectors.stored, into: inside.view)
    } else {
      multiply(directions, vectors.stored.transposed, into: inside.view)
    }
  }

  /// ‖v‖² of one vector, and of its part in the directions.
  borrowing func energies(of index: Int) -> (whole: Double, inside: Double) {
    let sum = (0..<inside.rowCount).reduce(0.0) {
      $0 + Double(inside[$1, index]) * Double(inside[$1, index])
    }
    return (gram[index, index], sum)
  }

  /// The same of a sum of the vectors with weights.
  borrowing func energies(ofSum weights: [Double]) -> (whole: Double, inside: Double) {
    var whole = 0.0
    for row in weights.indices where weights[row] != 0 {
      for column in 0..<row { whole += 2 * weights[row] * weights[column] * gram[row, column] }
      whole += weights[row] * weights[row] * gram[row, row]
    }
    var sum = 0.0
    for direction in 0..<inside.rowCount {
      let value = weights.indices.reduce(0.0) { $0 + weights[$1] * Double(inside[direction, $1]) }
      sum += value * value
    }
    return (max(0, whole), sum)
  }
}
