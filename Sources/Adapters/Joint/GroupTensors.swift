internal import LinearAlgebra
internal import WeightSources

/// A group's tensors in memory: what each slice is made of, and how much of it each component is.
///
/// Slices are numbered tuned model by tuned model, layer by layer, as in the record.
public struct GroupTensors: Sendable {
  /// The group.
  public let record: JointGroupRecord
  /// What the tensors mean.
  public let method: JointMethod
  private let tensors: [String: SharedMatrix<Float>]

  /// Reads all tensors of a group.
  ///
  /// - Throws: `JointFolderError.notFinite` for an entry that is no number, `CheckpointError` for a damaged file.
  public init(_ record: JointGroupRecord, of folder: JointFolder) throws {
    self.record = record
    method = folder.record.method
    var tensors: [String: SharedMatrix<Float>] = [:]
    for (name, _) in record.tensorShapes(method) {
      let elements = try folder.tensor(name, of: record).elements
      guard elements.matrix.firstNonFinite() == nil else {
        throw JointFolderError.notFinite(
          file: folder.path + "/" + record.file, tensor: "\(record.name).\(name)")
      }
      tensors[name] = elements
    }
    self.tensors = tensors
  }

  /// Layers times fine-tuned models.
  public var sliceCount: Int { record.modules.count * record.tunedCount }

  /// A tensor as a matrix: all its dimensions but the last × the last.
  func tensor(_ name: String) -> SharedMatrix<Float> {
    guard let tensor = tensors[name] else { preconditionFailure("group '\(record.name)' has no \(name)") }
    return tensor
  }

  /// What stands between the bases in one slice.
  ///
  /// For `tucker` the core, r₁ × r₂; for `shared` the coefficients; for `cp` a row of one number a component.
  func middle(ofSlice slice: Int) -> Matrix<Float> {
    switch method {
    case .tucker: core(ofSlice: slice)
    case .shared:
      rows(of: "coefficients", slice, count: record.outRank ?? record.shape[0])
    case .cp:
      Matrix(componentWeights(ofSlice: slice).map { Float($0) }, rows: 1, columns: record.componentCount ?? 0)
    }
  }

  /// The factor of each rank-one component in one slice.
  func componentWeights(ofSlice slice: Int) -> [Double] {
    let (tuned, layer) = slice.quotientAndRemainder(dividingBy: record.modules.count)
    let (weights, layers) = (tensor("weights"), tensor("layer"))
    return (0..<weights.columnCount).map { component in
      let use = record.tunedCount > 1 ? Double(self.tensor("tuned").matrix[tuned, component]) : 1
      return Double(weights.matrix[0, component]) * Double(layers.matrix[layer, component]) * use
    }
  }

  private func core(ofSlice slice: Int) -> Matrix<Float> {
    let rank = record.outRank ?? record.shape[0]
    guard let layerRank = record.layerRank else { return rows(of: "core", slice, count: rank) }
    let (tuned, layer) = slice.quotientAndRemainder(dividingBy: record.modules.count)
    let result = Matrix<Float>(repeating: 0, rows: rank, columns: tensor("core").columnCount)
    for vector in 0..<layerRank {
      let term = rows(of: "core", tuned * layerRank + vector, count: rank)
      term.view.scale(by: Double(tensor("layer_basis").matrix[layer, vector]))
      result.view.add(term.view)
    }
    return result
  }

  /// One of the blocks of equally many rows that a tensor consists of.
  private func rows(of name: String, _ block: Int, count: Int) -> Matrix<Float> {
    let all = tensor(name)
    let result = Matrix<Float>(uninitializedRows: count, columns: all.columnCount)
    result.view.copy(from: all.matrix.view.rows(block * count..<(block + 1) * count))
    return result
  }

  /// ‖·‖² of every component in every slice: a row a slice.
  ///
  /// - Parameter side: One that the group has.
  /// - Returns: As many numbers a row as there are components.
  public func energies(_ side: ComponentSide) -> [[Double]] {
    (0..<sliceCount).map { slice in
      let middle = middle(ofSlice: slice)
      switch side {
      case .out: return (0..<middle.rowCount).map { middle.view.rows($0..<$0 + 1).sumOfSquares() }
      case .in: return (0..<middle.columnCount).map { middle.view.columns($0..<$0 + 1).sumOfSquares() }
      case .both: return componentWeights(ofSlice: slice).map { $0 * $0 }
      }
    }
  }

  /// ‖·‖² of the sum of some components in every slice.
  ///
  /// - Parameters:
  ///   - members: Their numbers.
  ///   - side: One that the group has; directions of a basis are orthogonal, rank-one components are not.
  ///   - alone: `energies(side)`.
  /// - Returns: One number a slice.
  func energies(ofSumsOf members: [Int], _ side: ComponentSide, alone: [[Double]]) -> [Double] {
    guard side == .both, members.count > 1 else {
      return alone.map { row in members.reduce(0) { $0 + row[$1] } }
    }
    let outProducts = gramMatrix(tensor("out").matrix.view.transposed)
    let inProducts = gramMatrix(tensor("in").matrix.view.transposed)
    return (0..<sliceCount).map { slice in
      let weights = componentWeights(ofSlice: slice)
      var sum = 0.0
      for (position, one) in members.enumerated() {
        sum += weights[one] * weights[one] * outProducts[one, one] * inProducts[one, one]
        for other in members[..<position] {
          sum += 2 * weights[one] * weights[other] * outProducts[one, other] * inProducts[one, other]
        }
      }
      // A NaN is no energy of zero.
      return sum < 0 ? 0 : sum
    }
  }
}
