import WeightSources
import ArgumentParser
import Checkpoints
import Foundation
import LinearAlgebra

/// `unbraid-bench make-pair`: a base model and a fine-tune of Llama's shapes, without Python.
struct MakePair: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "make-pair",
    abstract: "Write a base and a fine-tuned checkpoint of Llama shapes in bf16.",
    discussion: """
      Weights are normal with deviation 0.02; each difference is 48 spikes over a bulk of noise. Norms do not
      change. Llama-2-7B's shapes are --hidden 4096 --kv 4096 --ffn 11008 --layers 32 --vocab 32000.

      One large matrix of Llama-2-70B's shape:
        unbraid-bench make-pair pair --hidden 8192 --ffn 28672 --layers 1 --only gate_proj

      Example:  unbraid-bench make-pair pair --hidden 512 --ffn 1408 --layers 4
      """)

  @Argument(help: "The folder to make; the models are in base and tuned below it.") var folder: String
  @Option(help: "Hidden size.") var hidden = 512
  @Option(help: "Rows of the key and value projections (default: half the hidden size).") var kv: Int?
  @Option(help: "Hidden size of the feed-forward layers.") var ffn = 1408
  @Option(help: "Layers.") var layers = 4
  @Option(help: "Vocabulary.") var vocab = 2048
  @Option(help: "Write only tensors whose name contains this; may be repeated.") var only: [String] = []
  @Option(help: "Seed of all weights.") var seed: UInt64 = 0

  func run() throws {
    let tensors = tensorShapes
    guard !tensors.isEmpty else {
      throw ValidationError("no tensor has a name with \(only.joined(separator: " or "))")
    }
    var base = try ModelWriter(folder + "/base", tensors, configuration)
    var tuned = try ModelWriter(folder + "/tuned", tensors, configuration)
    for (name, shape) in tensors {
      if shape.count == 1 {
        let ones = Matrix<Float>(repeating: 1, rows: 1, columns: shape[0])
        try base.write(ones, name, shape)
        try tuned.write(ones, name, shape)
        continue
      }
      let weights = SyntheticWeights(seed: seed, name: name)
      let weight = weights.noise(rows: shape[0], columns: shape[1], deviation: 0.02, stream: 0)
      try base.write(weight, name, shape)
      let delta = weights.spikedDelta(rows: shape[0], columns: shape[1])
      for row in 0..<shape[0] {
        let (sum, change) = (weight.view.row(row), delta.view.row(row))
        for column in sum.indices { sum[column] += change[column] }
      }
      try tuned.write(weight, name, shape)
    }
    try base.finish()
    try tuned.finish()
    let parameters = tensors.reduce(0) { $0 + $1.shape.reduce(1, *) }
    print(
      String(
        format: "%.1f M parameters a model in %@/base and %@/tuned", Double(parameters) / 1e6, folder, folder)
    )
  }

  private var tensorShapes: [(name: String, shape: [Int])] {
    let keyValue = kv ?? hidden / 2
    var tensors: [(name: String, shape: [Int])] = [
      ("model.embed_tokens.weight", [vocab, hidden]), ("lm_head.weight", [vocab, hidden]),
      ("model.norm.weight", [hidden]),
    ]
    for layer in 0..<layers {
      let prefix = "model.layers.\(layer)."
      tensors += [
        (prefix + "self_attn.q_proj.weight", [hidden, hidden]),
        (prefix + "self_attn.k_proj.weight", [keyValue, hidden]),
        (prefix + "self_attn.v_proj.weight", [keyValue, hidden]),
        (prefix + "self_attn.o_proj.weight", [hidden, hidden]),
        (prefix + "mlp.gate_proj.weight", [ffn, hidden]),
        (prefix + "mlp.up_proj.weight", [ffn, hidden]),
        (prefix + "mlp.down_proj.weight", [hidden, ffn]),
        (prefix + "input_layernorm.weight", [hidden]),
        (prefix + "post_attention_layernorm.weight", [hidden]),
      ]
    }
    return tensors.filter { tensor in only.isEmpty || only.contains { tensor.name.contains($0) } }
  }

  private var configuration: [String: Any] {
    let headLength = 64
    return [
      "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
      "intermediate_size": ffn, "num_hidden_layers": layers,
      "num_attention_heads": max(1, hidden / headLength),
      "num_key_value_heads": max(1, (kv ?? hidden / 2) / headLength), "head_dim": headLength,
      "vocab_size": vocab, "rms_norm_eps": 1e-5, "rope_theta": 1e4, "max_position_embeddings": 4096,
      "hidden_act": "silu", "tie_word_embeddings": false, "torch_dtype": "bfloat16", "bos_token_id": 1,
      "eos_token_id": 2,
    ]
  }
}

/// One model on its way to disk, a tensor at a time.
private struct ModelWriter: ~Copyable {
  private var writer: SafetensorsWriter

  init(_ folder: String, _ tensors: [(name: String, shape: [Int])], _ configuration: [String: Any]) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let json = try JSONSerialization.data(
      withJSONObject: configuration, options: [.prettyPrinted, .sortedKeys])
    try json.write(to: URL(fileURLWithPath: folder + "/config.json"))
    writer = try SafetensorsWriter(
      path: folder + "/model.safetensors",
      slots: tensors.map { .init(name: $0.name, elementType: .bf16, largestShape: $0.shape) },
      metadata: ["format": "pt"])
  }

  mutating func write(_ values: borrowing Matrix<Float>, _ name: String, _ shape: [Int]) throws {
    try writer.write(ElementType.bf16.encode(values), to: name, shape: shape)
  }

  consuming func finish() throws { try writer.finish() }
}
