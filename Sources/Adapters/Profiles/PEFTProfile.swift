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
    /// What the names of its factors begin with, after PEFT's own prefix.
    let path: String
    /// The parameter, if all its experts are in the pair.
    let parameter: String?
    /// One, or one an expert.
    var parts: [WeightUpdate]
    let scaling: UniformScaling

    var nameOfA: String { prefix + (parts[0].isEmbedding ? "lora_embedding_A" : "lora_A.weight") }
    var nameOfB: String { prefix + (parts[0].isEmbedding ? "lora_embedding_B" : "lora_B.weight") }
    private var prefix: String { "base_model.model.\(path)." }
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
      let factors =
        pair.parameter == nil
        ? pair.scaling.factors(of: pair.parts[0], in: try reader.factors(at: pair.parts[0].source))
        : try pair.scaling.fusedFactors(of: pair.parts) { try reader.factors(at: $0.source) }
      let (a, b) = (
        try factorType.encode(factors.a.matrix, of: pair.path),
        try factorType.encode(factors.b.matrix, of: pair.path)
      )
      try writer.write(a, to: pair.nameOfA, shape: pair.shapeOfA)
      try writer.write(b, to: pair.nameOfB, shape: pair.shapeOfB)
    }
    for tensor in others {
      let file = try RandomAccessFile(path: tensor.filePath)
      let bytes = try file.bytes(tensor.offset..<tensor.offset + tensor.byteCount, of: tensor.name)
      try writer.write(bytes, to: tensor.name, shape: tensor.shape)
    }
    try writer.finish()
    try writeDurably(
      [UInt8](configuration(pairs, of: source)),
      to: folder + "/adapter_config.json")
  }

  private func pairs(of updates: [AdapterUpdate]) -> [Pair] {
    let divided = Dictionary(grouping: WeightUpdates(updates, model: model).weights, by: \.source)
    var pairs: [Pair] = []
    for (index, update) in updates.enumerated() {
      let scaling = uniform ?? UniformScaling(rank: update.rank, scale: update.scale)
      let own = divided[index] ?? []
      guard let expert = update.expert, own.isEmpty || !dividesExperts else {
        pairs += own.map { Pair(path: $0.path, parameter: nil, parts: [$0], scaling: scaling) }
        continue
      }
      if pairs.last?.parameter != expert.parameter {
        pairs.append(Pair(path: expert.wrapper, parameter: expert.parameter, parts: [], scaling: scaling))
      }
      pairs[pairs.count - 1].parts.append(WeightUpdate(update, source: index))
    }
    return pairs
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
  private func configuration(_ pairs: [Pair], of source: any UpdateSource) throws -> Data {
    guard var fields = try JSONSerialization.jsonObject(with: source.configuration) as? [String: Any] else {
      throw PEFTAdapterError.malformedConfiguration(
        path: source.path, problem: "is no JSON object; get it again")
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
    let isDivided = pairs.contains {
      $0.parameter == nil && source.updates[$0.parts[0].source].expert != nil
    }
    if isDivided {
      fields["target_modules"] = pairs.filter { $0.parameter == nil }.map(\.path).sorted()
      if pairs.allSatisfy({ $0.parameter == nil }) { fields["target_parameters"] = NSNull() }
      fields["layers_to_transform"] = NSNull()
    }
    return try JSONSerialization.data(
      withJSONObject: fields, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
      + Data("\n".utf8)
  }

  private func patterns(_ pairs: [Pair], _ value: (UniformScaling) -> Any) -> [String: Any] {
    // PEFT holds patterns against a parameter's own path, not its wrapper's.
    Dictionary(
      pairs.map { (anchoredPattern($0.parameter ?? $0.path), value($0.scaling)) },
      uniquingKeysWith: { first, _ in first })
  }
}

/// A number as other programs like it: without a fraction if it has none.
private func number(_ value: Double) -> Any { Int(exactly: value) ?? value as Any }
