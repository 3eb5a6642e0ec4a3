/// What llama.cpp calls a family of models and its weights, and how it turns them round.
///
/// From gguf-py's table of tensor names and llama.cpp's converters; a family is in here only if its converter does
/// nothing to the linear weights but what stands here.
struct GGUFNaming {
  /// `general.architecture`.
  let architecture: String
  /// Whether rows of queries and keys are paired as neighbours rather than as halves of a head.
  let interleavesRotaryHalves: Bool
  private let model: ConsumerModel

  /// The naming for a model; nil for a family that is not known.
  init?(_ model: ConsumerModel) {
    guard let family = families[model.modelType ?? ""] else { return nil }
    architecture = family.architecture
    interleavesRotaryHalves = family.interleaves
    self.model = model
  }

  /// The model types that are known, sorted.
  static var knownModelTypes: [String] { families.keys.sorted() }

  /// What the weight of an update is called.
  func place(of update: WeightUpdate) -> ConsumerPlace {
    let path = ModulePath(update.path)
    guard let layer = path.layer else { return placeOutside(path.rest) }
    guard layerStems.contains(path.stem) else {
      return .none("llama.cpp reads no adapters of such modules")
    }
    let block = "blk.\(layer)."
    if let expert = path.expert, let name = expertNames[expert.container + "." + expert.name] {
      return .expert(block + name, index: expert.index)
    }
    guard let name = blockNames[path.rest] else {
      return .none("llama.cpp has no tensor for it in '\(architecture)'")
    }
    return .matrix(block + name + ".weight")
  }

  private func placeOutside(_ path: String) -> ConsumerPlace {
    switch path {
    case "model.embed_tokens", "embed_tokens", "transformer.wte", "wte":
      // llama.cpp would multiply these factors into the head as well, where they do not fit, and abort.
      model.tiesWordEmbeddings
        ? .none("the model's embedding is its head, where llama.cpp cannot apply it")
        : .matrix("token_embd.weight")
    case "lm_head" where model.tiesWordEmbeddings:
      .none("the model's head is its embedding, and llama.cpp has no tensor for it")
    case "lm_head": .matrix("output.weight")
    default: .none("llama.cpp reads no adapters of such modules")
    }
  }

  /// The heads that the rows of a module's outputs are, if they must be rearranged.
  func rotaryHeads(of update: WeightUpdate) throws -> Int? {
    let leaf = ModulePath(update.path).rest
    guard interleavesRotaryHalves, leaf == "self_attn.q_proj" || leaf == "self_attn.k_proj" else {
      return nil
    }
    let count = leaf == "self_attn.k_proj" ? model.keyValueHeadCount ?? model.headCount : model.headCount
    guard let count, count > 0, update.outputCount % (2 * count) == 0 else {
      throw ProfileError.heads(module: update.path, outputCount: update.outputCount, headCount: count)
    }
    return count
  }
}

private let families: [String: (architecture: String, interleaves: Bool)] = [
  "llama": ("llama", true), "mistral": ("llama", true), "mixtral": ("llama", true),
  "granite": ("granite", true), "smollm3": ("smollm3", true), "olmo": ("olmo", true),
  "olmo2": ("olmo2", false), "olmoe": ("olmoe", false), "qwen2": ("qwen2", false),
  "qwen2_moe": ("qwen2moe", false), "qwen3": ("qwen3", false), "qwen3_moe": ("qwen3moe", false),
  "phi3": ("phi3", false), "gemma": ("gemma", false), "gemma2": ("gemma2", false),
  "gemma3": ("gemma3", false), "gemma3_text": ("gemma3", false), "starcoder2": ("starcoder2", false),
  "gpt2": ("gpt2", false),
]

private let layerStems: Set = ["model.layers", "layers", "transformer.h", "h"]

private let blockNames = [
  "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output", "self_attn.qkv_proj": "attn_qkv", "attn.c_attn": "attn_qkv",
  "attn.c_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down", "mlp.gate_up_proj": "ffn_up", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
  "mlp.gate": "ffn_gate_inp", "block_sparse_moe.gate": "ffn_gate_inp",
  "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
  "mlp.shared_expert.gate_proj": "ffn_gate_shexp", "mlp.shared_expert.up_proj": "ffn_up_shexp",
  "mlp.shared_expert.down_proj": "ffn_down_shexp",
]

private let expertNames = [
  "mlp.experts.gate_proj": "ffn_gate_exps.weight", "mlp.experts.up_proj": "ffn_up_exps.weight",
  "mlp.experts.down_proj": "ffn_down_exps.weight", "block_sparse_moe.experts.w1": "ffn_gate_exps.weight",
  "block_sparse_moe.experts.w3": "ffn_up_exps.weight", "block_sparse_moe.experts.w2": "ffn_down_exps.weight",
]
