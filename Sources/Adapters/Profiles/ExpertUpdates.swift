/// How the fused experts of a family are taken apart, and what their parts are called where experts are modules.
struct ExpertFamily {
  /// The path of a layer's experts, with the layer's path before it.
  let container: String
  let gate: String
  let up: String
  let down: String

  /// The family of a model; nil for one whose fused experts nobody here can take apart.
  ///
  /// Families whose gate and up alternate (gpt_oss) are not among them.
  init?(modelType: String?) {
    switch modelType {
    case "mixtral": self.init("block_sparse_moe.experts", gate: "w1", up: "w3", down: "w2")
    case "qwen2_moe", "qwen3_moe", "olmoe":
      self.init("mlp.experts", gate: "gate_proj", up: "up_proj", down: "down_proj")
    default: return nil
    }
  }

  private init(_ container: String, gate: String, up: String, down: String) {
    self.container = container
    self.gate = gate
    self.up = up
    self.down = down
  }
}

/// The updates of an adapter as those of two-dimensional weights, fused experts taken apart where that is possible.
struct WeightUpdates {
  let weights: [WeightUpdate]
  /// Indices of fused updates that stay as they are.
  let undivided: [Int]

  init(_ updates: [AdapterUpdate], model: ConsumerModel?) {
    var weights: [WeightUpdate] = []
    var undivided: [Int] = []
    for (index, update) in updates.enumerated() {
      let parts = update.weights(source: index, model: model)
      weights += parts
      if parts.isEmpty { undivided.append(index) }
    }
    self.weights = weights
    self.undivided = undivided
  }
}

extension AdapterUpdate {
  /// The weights that a consumer without fused experts has for it; none if they cannot be told.
  fileprivate func weights(source: Int, model: ConsumerModel?) -> [WeightUpdate] {
    guard case .experts = kind else {
      return [WeightUpdate(self, source: source)]
    }
    let components = path.split(separator: ".").map(String.init)
    guard let family = ExpertFamily(modelType: model?.modelType), isReversed(in: model) != nil,
      let layer = components.firstIndex(where: { Int($0) != nil })
    else { return [] }
    let names = components.last == "gate_up_proj" ? [family.gate, family.up] : [family.down]
    let prefix = components[...layer].joined(separator: ".") + "." + family.container
    return experts(source: source, model: model).enumerated().flatMap { index, whole in
      names.enumerated().map { part, name in
        whole.part(part, of: names.count, path: "\(prefix).\(index).\(name)")
      }
    }
  }

  /// A fused update expert by expert, all outputs of each.
  func experts(source: Int, model: ConsumerModel?) -> [WeightUpdate] {
    guard case .experts(let count) = kind else { return [] }
    let isReversed = isReversed(in: model) ?? false
    return (0..<count).map { index in
      WeightUpdate(
        path: path, isEmbedding: false, source: source, rank: rank,
        inputCount: isReversed ? outputCount : inputCount, outputCount: isReversed ? inputCount : outputCount,
        scale: scale,
        expert: WeightUpdate.Expert(index: index, count: count, isReversed: isReversed, firstOutput: 0))
    }
  }

  /// Whether A has the outputs and B the inputs of fused experts; nil if that cannot be told.
  ///
  /// The residual stream goes into gate and up and comes out of down, so where its length lies tells. A square
  /// weight is taken to be of today's PEFT.
  private func isReversed(in model: ConsumerModel?) -> Bool? {
    guard let hidden = model?.hiddenSize else { return nil }
    let isGate = path.hasSuffix(".gate_up_proj")
    guard isGate || path.hasSuffix(".down_proj") else { return nil }
    let (residual, other) = isGate ? (inputCount, outputCount) : (outputCount, inputCount)
    return residual == hidden ? false : other == hidden ? true : nil
  }
}

extension WeightUpdate {
  /// The whole of an update that is no fused one.
  init(_ update: AdapterUpdate, source: Int) {
    self.init(
      path: update.path, isEmbedding: update.kind == .embedding, source: source, rank: update.rank,
      inputCount: update.inputCount, outputCount: update.outputCount, scale: update.scale)
  }

  /// One of several equal stretches of an expert's outputs.
  fileprivate func part(_ part: Int, of count: Int, path: String) -> WeightUpdate {
    let height = outputCount / count
    var expert = expert
    expert?.firstOutput = part * height
    return WeightUpdate(
      path: path, isEmbedding: isEmbedding, source: source, rank: rank, inputCount: inputCount,
      outputCount: height, scale: scale, expert: expert)
  }
}
