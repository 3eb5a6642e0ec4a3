internal import Checkpoints
internal import LinearAlgebra

/// An adapter as mlx-lm has it: `adapters.safetensors` with transposed factors, and its own configuration.
///
/// `<module>.lora_a` is inputs × rank and `<module>.lora_b` rank × outputs; of a stack of experts they are
/// experts × rank × inputs and experts × outputs × rank, not transposed.
struct MLXAdapter {
  let scaling: UniformScaling
  let factorType: FactorType
  let layerCount: Int?

  /// Writes both files into a folder that exists.
  ///
  /// - Parameters:
  ///   - weights: Named by `MLXNaming`.
  ///   - source: Where their factors come from.
  ///   - folder: Where the files go.
  /// - Throws: `AdapterError.entryOverflow`, or what the device has against it.
  func write(_ weights: [ConsumerWeight], from source: any UpdateSource, to folder: String) throws {
    var writer = try SafetensorsWriter(
      path: folder + "/adapters.safetensors", slots: weights.flatMap(slots), metadata: ["format": "mlx"])
    var reader = CachedFactors(source)
    for weight in weights {
      let matrices = try reader.matrices(of: weight, scaling)
      let isStack = weight.expertCount != nil
      let path = weight.first.path
      let a = try matrices.flatMap {
        try isStack
          ? factorType.encode($0.a.matrix, of: path) : factorType.encode($0.a.matrix.transposed(), of: path)
      }
      let b = try matrices.flatMap {
        try isStack
          ? factorType.encode($0.b.matrix, of: path) : factorType.encode($0.b.matrix.transposed(), of: path)
      }
      let shapes = shapes(of: weight)
      try writer.write(a, to: weight.name + ".lora_a", shape: shapes.a)
      try writer.write(b, to: weight.name + ".lora_b", shape: shapes.b)
    }
    try writer.finish()
    let configuration = MLXConfiguration(
      names: weights.map(\.name), rank: scaling.rank, scale: scaling.scale, layerCount: layerCount)
    try writeDurably([UInt8](configuration.encoded()), to: folder + "/adapter_config.json")
  }

  private func slots(of weight: ConsumerWeight) -> [SafetensorsWriter.Slot] {
    let shapes = shapes(of: weight)
    return [(".lora_a", shapes.a), (".lora_b", shapes.b)].map { ending, shape in
      SafetensorsWriter.Slot(
        name: weight.name + ending, elementType: factorType.elementType, largestShape: shape)
    }
  }

  private func shapes(of weight: ConsumerWeight) -> (a: [Int], b: [Int]) {
    let (rank, inputs, outputs) = (scaling.rank, weight.first.inputCount, weight.first.outputCount)
    guard let count = weight.expertCount else { return ([inputs, rank], [rank, outputs]) }
    return ([count, rank, inputs], [count, outputs, rank])
  }
}
