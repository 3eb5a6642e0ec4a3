internal import LinearAlgebra

/// An adapter as llama.cpp's own format has it.
///
/// `<tensor>.lora_a` has dimensions [inputs, rank] and `<tensor>.lora_b` [rank, outputs], with the experts of a stack as
/// the third; of `token_embd` the first is [rank, vocabulary]. llama.cpp multiplies by alpha / rank.
struct GGUFAdapter {
  let naming: GGUFNaming
  let scaling: UniformScaling
  let factorType: FactorType

  /// Writes the file.
  ///
  /// - Parameters:
  ///   - weights: Named by `GGUFNaming`.
  ///   - source: Where their factors come from.
  ///   - path: The file's name.
  /// - Throws: `ProfileError` for heads that do not divide a module, `AdapterError` for entries that do not fit the type,
  ///   or what
  ///   the device has against it.
  func write(_ weights: [ConsumerWeight], from source: any UpdateSource, to path: String) throws {
    var writer = try GGUFWriter(path: path, metadata: metadata, slots: weights.flatMap(slots))
    var reader = CachedFactors(source)
    for weight in weights {
      let matrices = try reader.matrices(of: weight, scaling)
      let heads = try naming.rotaryHeads(of: weight.first)
      let a = try matrices.flatMap { factors in
        try weight.first.isEmbedding
          ? encode(factors.a.matrix.transposed(), weight) : encode(factors.a.matrix, weight)
      }
      let b = try matrices.flatMap { factors in
        if let heads { return try encode(factors.b.matrix.interleavingHalves(headCount: heads), weight) }
        return try encode(factors.b.matrix, weight)
      }
      try writer.write(a, to: weight.name + ".lora_a")
      try writer.write(b, to: weight.name + ".lora_b")
    }
    try writer.finish()
  }

  private func encode(_ factor: borrowing Matrix<Float>, _ weight: ConsumerWeight) throws -> [UInt8] {
    try factorType.encode(factor, of: weight.first.path)
  }

  private var metadata: [(key: String, value: GGUFWriter.Value)] {
    [
      ("general.architecture", .string(naming.architecture)), ("general.type", .string("adapter")),
      ("general.file_type", .uint32(factorType.ggufFileType)), ("adapter.type", .string("lora")),
      ("adapter.lora.alpha", .float32(Float(scaling.scale * Double(scaling.rank)))),
    ]
  }

  private func slots(of weight: ConsumerWeight) -> [GGUFWriter.Slot] {
    let (rank, first) = (scaling.rank, weight.first)
    let stack = weight.expertCount.map { [$0] } ?? []
    return [
      GGUFWriter.Slot(
        name: weight.name + ".lora_a", type: factorType,
        dimensions: (first.isEmbedding ? [rank, first.inputCount] : [first.inputCount, rank]) + stack),
      GGUFWriter.Slot(
        name: weight.name + ".lora_b", type: factorType, dimensions: [rank, first.outputCount] + stack),
    ]
  }
}

extension Matrix where Element == Float {
  /// A copy with the two halves of the rows of every head interleaved.
  ///
  /// Transformers rotates entry j of a head with entry j + d/2, llama.cpp entry 2j with 2j + 1.
  borrowing func interleavingHalves(headCount: Int) -> Matrix {
    let result = Matrix(uninitializedRows: rowCount, columns: columnCount)
    let length = rowCount / headCount
    for row in 0..<rowCount {
      let (head, place) = (row / length, row % length)
      let source = head * length + place % 2 * (length / 2) + place / 2
      result.view.rows(row..<row + 1).copy(from: view.rows(source..<source + 1))
    }
    return result
  }
}
