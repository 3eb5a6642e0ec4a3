internal import Checkpoints
internal import LinearAlgebra
internal import WeightSources

/// Everything that is added to one tensor, in the order of the adapters.
struct TensorUpdate: Sendable {
  var replacements: [Replacement] = []
  var products: [Product] = []
  var biasChanges: [BiasChange] = []

  /// A tensor that an adapter stores whole.
  struct Replacement: Sendable {
    let location: TensorLocation
    let weight: Double
  }

  /// scale · B·A of one module, or the part of it that goes here.
  struct Product: Sendable {
    let adapter: PEFTAdapter
    let module: PEFTAdapter.Module
    let target: AdaptedWeight
    let weight: Double
  }

  /// The change of one module's bias.
  struct BiasChange: Sendable {
    let adapter: PEFTAdapter
    let module: PEFTAdapter.Module
    let weight: Double
  }

  /// The tensor's new bytes, in its own type.
  func applied(to tensor: TensorLocation, with reader: DeltaReader) throws -> [UInt8] {
    // One that takes the model's place whole is not computed: it keeps its bits, and is looked through.
    let sole = replacements.count == 1 && replacements[0].weight == 1 ? replacements[0].location : nil
    let start = sole ?? tensor
    let bytes = try reader.readBytes(start)
    let isWritable = [.f32, .bf16, .f16].contains(tensor.elementType)
    if products.isEmpty, biasChanges.isEmpty, !isWritable, let sole, sole.elementType == tensor.elementType {
      return bytes
    }
    guard isWritable, start.elementType.isReadableAsFloat else {
      throw MergeError.unwritable(tensor: tensor.name, elementType: tensor.elementType)
    }
    let addends = try replacementAddends(sole, reader) + productAddends(reader) + biasAddends(reader)
    let source = start.stored(bytes)
    let original = sole == nil || replacements.count > 1 ? source : nil
    let result = source.rewritten(as: tensor.elementType) { rows, panel in
      for addend in addends { addend.add(to: panel, rows, original) }
    }
    switch result {
    case .bytes(let bytes): return bytes
    case .notFinite(let row, let column):
      for source in [start] + replacements.map(\.location) {
        try source.checkFinite(row: row, column: column, with: reader)
      }
      let place = tensor.matrix(ofRow: row)
      throw MergeError.notFinite(
        tensor: place.name, row: place.row, column: column, elementType: tensor.elementType)
    }
  }

  private func replacementAddends(
    _ sole: TensorLocation?, _ reader: DeltaReader
  ) throws -> [Addend] {
    guard sole == nil else { return [] }
    return try replacements.map { replacement in
      .difference(
        replacement.location.stored(try reader.readBytes(replacement.location)),
        factor: Float(replacement.weight))
    }
  }

  private func productAddends(_ reader: DeltaReader) throws -> [Addend] {
    try products.map { product in
      let factors = try product.adapter.readFactors(of: product.module, with: reader)
      let factor = Float(product.weight * factors.scale)
      return .product(
        a: SharedMatrix(factors.a), b: SharedMatrix(factors.b), target: product.target, factor: factor)
    }
  }

  private func biasAddends(_ reader: DeltaReader) throws -> [Addend] {
    try biasChanges.compactMap { change in
      guard let bias = try change.adapter.readBias(of: change.module, with: reader) else { return nil }
      return .vector(SharedMatrix(bias), factor: Float(change.weight * change.module.scale))
    }
  }
}

/// One term of the sum, read and ready.
private enum Addend {
  /// factor · (S − W).
  case difference(StoredMatrix, factor: Float)
  /// factor · B·A, or its transpose, or rows of them, on rows of the tensor.
  case product(a: SharedMatrix<Float>, b: SharedMatrix<Float>, target: AdaptedWeight, factor: Float)
  /// factor times a vector.
  case vector(SharedMatrix<Float>, factor: Float)

  /// Adds this term's rows to a panel of the sum.
  func add(to panel: MatrixView<Float>, _ rows: Range<Int>, _ original: StoredMatrix?) {
    switch self {
    case .difference(let replacement, let factor):
      guard let original else { return }
      addDifference(replacement, original, rows, factor, to: panel)
    case .product(let a, let b, let target, let factor):
      let covered = rows.clamped(to: target.rows)
      guard !covered.isEmpty else { return }
      let panel = panel.rows(shifted(covered, by: -rows.lowerBound))
      let own = shifted(covered, by: (target.part?.lowerBound ?? 0) - target.rows.lowerBound)
      switch target.layout {
      case .outputByInput:
        multiply(b.matrix.view.rows(own), a.matrix.view, into: panel, alpha: factor, beta: 1)
      case .inputByOutput:
        multiply(
          a.matrix.view.columns(own).transposed, b.matrix.view.transposed, into: panel, alpha: factor, beta: 1
        )
      }
    case .vector(let vector, let factor):
      let (target, change) = (panel.row(0), vector.matrix.view.row(0))
      for index in target.indices { target[index] += factor * change[index] }
    }
  }
}

extension TensorLocation {
  /// Its bytes as a matrix, the last dimension as columns.
  fileprivate func stored(_ bytes: [UInt8]) -> StoredMatrix {
    StoredMatrix(bytes, elementType, columnCount: shape.last ?? 1)
  }

  /// Sees that it holds a finite number at a place.
  fileprivate func checkFinite(row: Int, column: Int, with reader: DeltaReader) throws {
    let value = stored(try reader.readBytes(self)).value(row: row, column: column)
    guard !value.isFinite else { return }
    let place = matrix(ofRow: row)
    throw MergeError.damaged(
      file: filePath, tensor: place.name, row: place.row, column: column, value: value)
  }

  /// The matrix that a row is in, of those that lie one below the other in a stack, and its number there.
  fileprivate func matrix(ofRow row: Int) -> (name: String, row: Int) {
    guard shape.count == 3 else { return (name, row) }
    let (index, rowInMatrix) = row.quotientAndRemainder(dividingBy: shape[1])
    return (slice(index).name, rowInMatrix)
  }
}

private func shifted(_ range: Range<Int>, by offset: Int) -> Range<Int> {
  range.lowerBound + offset..<range.upperBound + offset
}

extension StoredMatrix {
  fileprivate func value(row: Int, column: Int) -> Float {
    let values = Matrix<Float>(uninitializedRows: 1, columns: columnCount)
    widen(row..<row + 1, into: values.view)
    return values[0, column]
  }
}

private func addDifference(
  _ replacement: StoredMatrix, _ original: StoredMatrix, _ rows: Range<Int>, _ factor: Float,
  to panel: MatrixView<Float>
) {
  let new = Matrix<Float>(uninitializedRows: panel.rowCount, columns: panel.columnCount)
  let old = Matrix<Float>(uninitializedRows: panel.rowCount, columns: panel.columnCount)
  replacement.widen(rows, into: new.view)
  original.widen(rows, into: old.view)
  for row in 0..<panel.rowCount {
    let (target, after, before) = (panel.row(row), new.view.row(row), old.view.row(row))
    for column in target.indices { target[column] += factor * (after[column] - before[column]) }
  }
}
