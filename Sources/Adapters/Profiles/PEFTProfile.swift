internal import Checkpoints
internal import Foundation
internal import LinearAlgebra

/// An adapter in PEFT's files again: with ranks and scales of its own for each module, or with one of each.
struct PEFTProfile {
  /// One rank and one scale for all; nil to leave every module its own.
  let uniform: UniformScaling?
  let factorType: FactorType
  let model: ConsumerModel?
  /// Whether what is no factor comes along.
  let keepsOthers: Bool
  /// Whether fused experts are written as modules.
  let dividesExperts: Bool

  /// One pair of factors of the file.
  private struct Pair {
    let prefix: String
    let isEmbedding: Bool
    let source: Int
    /// One, or all experts of a fused update.
    let parts: [WeightUpdate]
    let scaling: UniformScaling

    var nameOfA: String { prefix + (isEmbedding ? ".lora_embedding_A" : ".lora_A.weight") }
    var nameOfB: String { prefix + (isEmbedding ? ".lora_embedding_B" : ".lora_B.weight") }
    var isFused: Bool { parts[0].expert.map { $0.count == parts.count } ?? false }
    var shapeOfA: [Int] { [parts.count * scaling.rank, parts[0].inputCount] }
    var shapeOfB: [Int] { [parts[0].outputCount, scaling.rank * parts.count] }
  }

  /// Writes both files into a folder that exists.
  func write(_ source: any UpdateSource, to folder: String) throws {
    let pairs = pairs(of: source.updates)
    let others = keepsOthers ? source.otherTensors : []
    var writer = try SafetensorsWriter(
      path: folder + "/adapter_model.safetensors", slots: pairs.flatMap(slots) + others.map(slot),
      metadata: ["format": "pt"])
    var reader = CachedFactors(source)
    for pair in pairs {
      let whole = try reader.factors(at: pair.source)
      let factors =
        pair.isFused
        ? pair.scaling.fusedFactors(of: pair.parts, in: whole)
        : pair.scaling.factors(of: pair.parts[0], in: whole)
      let path = pair.parts[0].path
      try writer.write(factorType.encode(factors.a.matrix, of: path), to: pair.nameOfA, shape: pair.shapeOfA)
      try writer.write(factorType.encode(factors.b.matrix, of: path), to: pair.nameOfB, shape: pair.shapeOfB)
    }
    for tensor in others {
      let file = try RandomAccessFile(path: tensor.filePath)
      let bytes = try file.bytes(tensor.offset..<tensor.offset + tensor.byteCount, of: tensor.name)
      try writer.write(bytes, to: tensor.name, shape: tensor.shape)
    }
    try writer.finish()
    try writeDurably(
      [UInt8](configuration(pairs, original: source.configuration, path: source.path)),
      to: folder + "/adapter_config.json")
  }

  private func pairs(of updates: [AdapterUpdate]) -> [Pair] {
    let divided = Dictionary(grouping: WeightUpdates(updates, model: model).weights, by: \.source)
    return updates.enumerated().flatMap { index, update in
      let scaling = uniform ?? UniformScaling(rank: update.rank, scale: update.scale)
      let own = divided[index] ?? []
      let fused = update.experts(source: index, model: model)
      if dividesExperts && !fused.isEmpty && !own.isEmpty {
        return own.map {
          Pair(
            prefix: "base_model.model." + $0.path, isEmbedding: false, source: index, parts: [$0],
            scaling: scaling)
        }
      }
      return [
        Pair(
          prefix: update.tensorPrefix, isEmbedding: update.kind == .embedding, source: index,
          parts: fused.isEmpty ? own : fused, scaling: scaling)
      ]
    }
  }

  private func slots(of pair: Pair) -> [SafetensorsWriter.Slot] {
    [(pair.nameOfA, pair.shapeOfA), (pair.nameOfB, pair.shapeOfB)].map {
      SafetensorsWriter.Slot(name: $0, elementType: factorType.elementType, largestShape: $1)
    }
  }

  private func slot(of tensor: TensorLocation) -> SafetensorsWriter.Slot {
    SafetensorsWriter.Slot(
      name: tensor.name, elementType: tensor.elementType, largestShape: tensor.shape)
  }

  /// The adapter's configuration with what is different now.
  private func configuration(_ pairs: [Pair], original: Data, path: String) throws -> Data {
    guard var fields = try JSONSerialization.jsonObject(with: original) as? [String: Any] else {
      throw PEFTAdapterError.malformedConfiguration(path: path, problem: "is no JSON object; get it again")
    }
    let largest = pairs.map(\.scaling.rank).max() ?? 1
    let scale = uniform?.scale ?? pairs.first { $0.scaling.rank == largest }?.scaling.scale ?? 1
    fields["r"] = largest
    fields["lora_alpha"] = number(scale * Double(largest))
    fields["use_rslora"] = false
    fields["init_lora_weights"] = true
    fields["inference_mode"] = true
    let others = pairs.filter { $0.scaling != UniformScaling(rank: largest, scale: scale) }
    fields["rank_pattern"] = patterns(others) { $0.rank }
    fields["alpha_pattern"] = patterns(others) { number($0.scale * Double($0.rank)) }
    if !keepsOthers {
      fields["modules_to_save"] = NSNull()
      fields["lora_bias"] = false
      fields["bias"] = "none"
    }
    if pairs.contains(where: { $0.parts[0].expert != nil && !$0.isFused }) {
      fields["target_modules"] = pairs.filter { !$0.isFused }.map { $0.parts[0].path }.sorted()
      fields["target_parameters"] = NSNull()
      fields["layers_to_transform"] = NSNull()
    }
    return try JSONSerialization.data(
      withJSONObject: fields, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
      + Data("\n".utf8)
  }

  private func patterns(_ pairs: [Pair], _ value: (UniformScaling) -> Any) -> [String: Any] {
    Dictionary(
      pairs.map {
        (anchoredPattern(String($0.prefix.dropFirst("base_model.model.".count))), value($0.scaling))
      },
      uniquingKeysWith: { first, _ in first })
  }
}

/// A number as other programs like it: without a fraction if it has none.
private func number(_ value: Double) -> Any { Int(exactly: value) ?? value as Any }
