/// What mlx-lm calls the weights of a model.
///
/// As Transformers does, but for experts, which are one stack a layer, and GPT-2's layers.
struct MLXNaming {
  let tiesWordEmbeddings: Bool

  /// What the weight of an update is called: the module's path.
  func place(of update: WeightUpdate) -> ConsumerPlace {
    let path = ModulePath(update.path)
    // mlx-lm's multimodal models hold the whole language model under this name.
    let prefix = path.isInLanguageModel ? "language_model." : ""
    guard let layer = path.layer else {
      switch path.rest {
      case "transformer.wte", "wte": return .matrix(prefix + "model.wte")
      case "lm_head" where tiesWordEmbeddings: return .none("the model's head is its embedding")
      case "lm_head", "model.embed_tokens": return .matrix(prefix + path.rest)
      default: return .none("mlx-lm has no such module outside of the layers")
      }
    }
    guard let stem = stems[path.stem] else { return .none("mlx-lm has no such layers") }
    if let expert = path.expert {
      guard let name = projections[expert.name], expert.container.hasSuffix("experts") else {
        return .none("mlx-lm has no such module in an expert")
      }
      let container = expert.container.dropLast("experts".count) + "switch_mlp"
      return .expert("\(prefix)\(stem).\(layer).\(container).\(name)", index: expert.index)
    }
    return .matrix("\(prefix)\(stem).\(layer).\(path.rest)")
  }
}

private let stems = ["model.layers": "model.layers", "transformer.h": "model.h", "h": "model.h"]

private let projections = [
  "gate_proj": "gate_proj", "up_proj": "up_proj", "down_proj": "down_proj", "w1": "gate_proj",
  "w3": "up_proj",
  "w2": "down_proj",
]
