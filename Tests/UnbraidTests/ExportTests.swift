import Checkpoints
import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// Adapters in the layout of whoever loads them.
  @Suite struct ExportTests {
    private static let query = "model.layers.0.self_attn.q_proj"
    private static let key = "model.layers.0.self_attn.k_proj"
    private static let down = "model.layers.1.mlp.down_proj"
    private static let llama =
      #""model_type":"llama","num_attention_heads":2,"num_key_value_heads":1,"num_hidden_layers":2,"hidden_size":6"#
    private static let mixed =
      #""r":2,"lora_alpha":3,"rank_pattern":{"down_proj":3},"alpha_pattern":{"k_proj":8}"#

    private static func fixture(base: String? = llama) throws -> AdapterFixture {
      try AdapterFixture(
        [
          .init(query, rank: 2, inputs: 6, outputs: 8), .init(key, rank: 2, inputs: 6, outputs: 4),
          .init(down, rank: 3, inputs: 5, outputs: 6),
          .init("model.embed_tokens", rank: 2, inputs: 9, outputs: 6),
        ], fields: mixed, base: base)
    }

    /// scale · B·A of a module of the fixture, with the scale that its configuration gives.
    private static func update(_ fixture: AdapterFixture, _ path: String, scale: Double) -> [Double] {
      let isEmbedding = path == "model.embed_tokens"
      let a = fixture[path + (isEmbedding ? ".lora_embedding_A" : ".lora_A.weight")]
      let b = fixture[path + (isEmbedding ? ".lora_embedding_B" : ".lora_B.weight")]
      return isEmbedding
        ? a.transposed.times(b.transposed, scale: scale) : b.times(a, scale: scale)
    }

    private static let scales = [query: 1.5, key: 4, down: 1, "model.embed_tokens": 1.5]

    @Test("vLLM gets one rank that it has room for, padded with zeros, and the same updates")
    func vllm() throws {
      let fixture = try Self.fixture()
      let result = try fixture.export(for: "vllm")
      try #require(result.status == 0, "\(result.errorOutput)")
      let configuration = try fixture.configuration()
      #expect(configuration["r"] as? Int == 8 && configuration["lora_alpha"] as? Int == 8)
      #expect((configuration["rank_pattern"] as? [String: Int])?.isEmpty == true)
      #expect((configuration["alpha_pattern"] as? [String: Int])?.isEmpty == true)
      let tensors = try RawSafetensors.read(fixture.folder.file("out/adapter_model.safetensors"))
      for (path, scale) in Self.scales {
        let isEmbedding = path == "model.embed_tokens"
        let prefix = "base_model.model." + path
        let a = try #require(tensors[prefix + (isEmbedding ? ".lora_embedding_A" : ".lora_A.weight")])
        let b = try #require(tensors[prefix + (isEmbedding ? ".lora_embedding_B" : ".lora_B.weight")])
        #expect(a.shape[0] == 8 && b.shape[1] == 8)
        let found = isEmbedding ? a.transposed.times(b.transposed) : b.times(a)
        #expect(largestDifference(found, Self.update(fixture, path, scale: scale)) < 1e-5)
      }
    }

    @Test("PEFT's own profile keeps every byte of the factors and what is stored whole")
    func peft() throws {
      let norm = FixtureTensor("base_model.model.model.norm.weight", shape: [2], [1, 2])
      let fixture = try AdapterFixture(
        [
          .init(Self.query, rank: 2, inputs: 6, outputs: 8), .init(Self.down, rank: 3, inputs: 5, outputs: 6),
        ],
        fields:
          #""r":2,"lora_alpha":4,"use_rslora":true,"rank_pattern":{"down_proj":3},"modules_to_save":["norm"]"#,
        others: [norm])
      let result = try fixture.export(for: "peft")
      try #require(result.status == 0 && result.errorOutput.isEmpty, "\(result.errorOutput)")
      let tensors = try RawSafetensors.read(fixture.folder.file("out/adapter_model.safetensors"))
      #expect(tensors.count == 5)
      for tensor in fixture.tensors { #expect(tensors[tensor.name]?.bytes == tensor.bytes) }
      let configuration = try fixture.configuration()
      #expect(configuration["r"] as? Int == 3 && configuration["use_rslora"] as? Bool == false)
      let alpha = try #require(configuration["lora_alpha"] as? Double)
      #expect(abs(alpha - 4 * 3.0.squareRoot()) < 1e-12)
      let pattern = #"^model\.layers\.0\.self_attn\.q_proj$"#
      #expect((configuration["rank_pattern"] as? [String: Int]) == [pattern: 2])
      let alphas = try #require(configuration["alpha_pattern"] as? [String: Double])
      #expect(abs((alphas[pattern] ?? 0) - 4 * 2.0.squareRoot()) < 1e-12)
    }

    @Test("llama.cpp's file holds its names, its dimensions, and rotary halves interleaved")
    func gguf() throws {
      let fixture = try Self.fixture()
      let result = try fixture.export(for: "llama.cpp")
      try #require(result.status == 0, "\(result.errorOutput)")
      let file = try RawGGUF(fixture.folder.file("out/adapter.gguf"))
      #expect(file.version == 3 && file.size % 32 == 0)
      #expect(file.tensors.values.allSatisfy { $0.offset % 32 == 0 })
      #expect(
        file.metadata == [
          "general.architecture": "llama", "general.type": "adapter", "general.file_type": "0",
          "adapter.type": "lora", "adapter.lora.alpha": "3.0",
        ])
      let names = [
        "blk.0.attn_q": Self.query, "blk.0.attn_k": Self.key, "blk.1.ffn_down": Self.down,
        "token_embd": "model.embed_tokens",
      ]
      #expect(
        Set(file.tensors.keys) == Set(names.keys.flatMap { ["\($0).weight.lora_a", "\($0).weight.lora_b"] }))
      for (name, path) in names {
        let a = try #require(file.tensors[name + ".weight.lora_a"])
        let b = try #require(file.tensors[name + ".weight.lora_b"])
        var expected = Self.update(fixture, path, scale: try #require(Self.scales[path]))
        if path == "model.embed_tokens" {
          #expect(a.dimensions == [3, 9] && b.dimensions == [3, 6])
          let found = FixtureTensor("a", .f64, shape: [9, 3], a.values)
            .times(FixtureTensor("b", .f64, shape: [6, 3], b.values).transposed)
          #expect(largestDifference(found, expected) < 1e-5)
          continue
        }
        let (inputs, outputs) = (a.dimensions[0], b.dimensions[1])
        #expect(a.dimensions == [inputs, 3] && b.dimensions == [3, outputs])
        if let rows = ["blk.0.attn_q": [0, 2, 1, 3, 4, 6, 5, 7], "blk.0.attn_k": [0, 2, 1, 3]][name] {
          expected = rows.flatMap { expected[$0 * inputs..<($0 + 1) * inputs] }
        }
        let found = FixtureTensor("b", .f64, shape: [outputs, 3], b.values)
          .times(FixtureTensor("a", .f64, shape: [3, inputs], a.values))
        #expect(largestDifference(found, expected) < 1e-5, "\(name)")
      }
    }

    @Test("mlx-lm's factors are transposed, with its own configuration")
    func mlx() throws {
      let fixture = try Self.fixture()
      let result = try fixture.export(for: "mlx")
      try #require(result.status == 0, "\(result.errorOutput)")
      let configuration = try fixture.configuration()
      #expect(
        configuration["fine_tune_type"] as? String == "lora" && configuration["num_layers"] as? Int == 2)
      let parameters = try #require(configuration["lora_parameters"] as? [String: Any])
      #expect(parameters["rank"] as? Int == 3 && parameters["scale"] as? Double == 1)
      #expect(
        parameters["keys"] as? [String]
          == ["mlp.down_proj", "model.embed_tokens", "self_attn.k_proj", "self_attn.q_proj"])
      let tensors = try RawSafetensors.read(fixture.folder.file("out/adapters.safetensors"))
      #expect(tensors.count == 8)
      for (path, scale) in Self.scales {
        let (a, b) = (try #require(tensors[path + ".lora_a"]), try #require(tensors[path + ".lora_b"]))
        let expected = Self.update(fixture, path, scale: scale)
        let found = a.times(b)
        let isEmbedding = path == "model.embed_tokens"
        let outputs = isEmbedding ? 0 : b.shape[1]
        let turned =
          isEmbedding
          ? expected : (0..<expected.count).map { expected[$0 % outputs * a.shape[0] + $0 / outputs] }
        #expect(a.shape[1] == 3 && largestDifference(found, turned) < 1e-5, "\(path)")
      }
    }

    @Test("one folder serves all, and nothing is left of a failed one")
    func all() throws {
      let fixture = try Self.fixture()
      try #require(fixture.export(for: "all").status == 0)
      #expect(
        fixture.folder.contents.filter { $0.hasPrefix("out") } == [
          "out", "out/adapter.gguf", "out/adapter_config.json", "out/adapter_model.safetensors", "out/mlx",
          "out/mlx/adapter_config.json", "out/mlx/adapters.safetensors",
        ])
      let failing = try Self.fixture(base: #""model_type":"unheard_of""#)
      let result = try failing.export(for: "all")
      #expect(result.status == 65 && !failing.folder.contents.contains { $0.hasPrefix("out") })
    }

    @Test("the language model of a multimodal one has each consumer's names")
    func multimodal() throws {
      let fixture = try AdapterFixture(
        [.init("model.language_model.layers.1.mlp.up_proj", rank: 2, inputs: 6, outputs: 8)],
        base: #""model_type":"gemma3","text_config":{"model_type":"gemma3_text","num_hidden_layers":3}"#)
      try #require(fixture.export(for: "all").status == 0)
      let file = try RawGGUF(fixture.folder.file("out/adapter.gguf"))
      #expect(file.metadata["general.architecture"] == "gemma3")
      #expect(Set(file.tensors.keys) == ["blk.1.ffn_up.weight.lora_a", "blk.1.ffn_up.weight.lora_b"])
      let tensors = try RawSafetensors.read(fixture.folder.file("out/mlx/adapters.safetensors"))
      let path = "language_model.model.layers.1.mlp.up_proj"
      #expect(Set(tensors.keys) == [path + ".lora_a", path + ".lora_b"])
      #expect(try fixture.configuration("out/mlx/adapter_config.json")["num_layers"] as? Int == 3)
    }

    @Test("one scale stays a scale, and the factors keep their bytes")
    func commonScale() throws {
      let fixture = try AdapterFixture(
        [.init(Self.query, rank: 8, inputs: 6, outputs: 8)], fields: #""r":8,"lora_alpha":12"#,
        base: Self.llama)
      try #require(fixture.export(for: "vllm").status == 0)
      let tensors = try RawSafetensors.read(fixture.folder.file("out/adapter_model.safetensors"))
      for tensor in fixture.tensors { #expect(tensors[tensor.name]?.bytes == tensor.bytes) }
      #expect(try fixture.configuration()["lora_alpha"] as? Int == 12)
    }

    @Test("what a consumer does not get is said")
    func leftOut() throws {
      let fixture = try AdapterFixture(
        [
          .init(Self.query, rank: 2, inputs: 6, outputs: 8), .init("lm_head", rank: 2, inputs: 6, outputs: 9),
          .init("model.vision_tower.blocks.0.qkv", rank: 2, inputs: 6, outputs: 9),
          .init("model.embed_tokens", rank: 2, inputs: 9, outputs: 6),
        ],
        others: [
          FixtureTensor("base_model.model.model.norm.weight", shape: [2], [1, 2]),
          FixtureTensor(
            "base_model.model.\(Self.query).lora_B.bias", shape: [8], Array(repeating: 1, count: 8)),
        ], base: Self.llama + #","tie_word_embeddings":true"#)
      let result = try fixture.export(for: "llama.cpp")
      #expect(result.status == 0)
      #expect(
        result.sentences == [
          "unbraid: note: llama.cpp: left out: 'lm_head': the model's head is its embedding, and llama.cpp has no tensor "
            + "for it",
          "unbraid: note: llama.cpp: left out: 'model.embed_tokens': the model's embedding is its head, where llama.cpp "
            + "cannot apply it",
          "unbraid: note: llama.cpp: left out: 'model.vision_tower.blocks.0.qkv': llama.cpp reads no adapters of such "
            + "modules",
          "unbraid: note: llama.cpp: left out: 2 tensors stored whole, such as 'model.norm.weight': llama.cpp applies "
            + "none",
        ])
    }

    @Test("what cannot be written is refused in one sentence")
    func refusals() throws {
      let plain = AdapterFixture.Pair(Self.query, rank: 2, inputs: 6, outputs: 8)
      func expect(
        _ sentence: String, _ fixture: AdapterFixture, for profile: String, status: Int32,
        sourceLocation: SourceLocation = #_sourceLocation
      ) throws {
        let result = try fixture.export(for: profile)
        #expect(result.status == status, sourceLocation: sourceLocation)
        #expect(
          result.errorOutput.contains(sentence), "\(result.errorOutput)", sourceLocation: sourceLocation)
        #expect(!fixture.folder.contents.contains { $0.hasPrefix("out") }, sourceLocation: sourceLocation)
      }
      try expect(
        "the layout depends on the base model, and the adapter names none; give its folder with --base",
        AdapterFixture([plain]), for: "llama.cpp", status: 64)
      try expect(
        "there is no config.json in '/nowhere'; give its folder with --base",
        AdapterFixture([plain], fields: #""r":2,"base_model_name_or_path":"/nowhere""#), for: "all",
        status: 64)
      try expect(
        "the base model's type is 'unheard_of'",
        AdapterFixture([plain], base: #""model_type":"unheard_of""#), for: "llama.cpp", status: 65)
      try expect(
        "its 8 outputs are not twice 3 heads times a whole number",
        AdapterFixture([plain], base: #""model_type":"llama","num_attention_heads":3"#), for: "llama.cpp",
        status: 65)
      try expect(
        "the largest rank is 513, and vLLM takes 512 at most",
        AdapterFixture([.init(Self.query, rank: 513, inputs: 6, outputs: 8)], fields: #""r":513"#),
        for: "vllm",
        status: 64)
      try expect(
        "none of its modules has a place in llama.cpp: 'model.vision_tower.x'",
        AdapterFixture([.init("model.vision_tower.x", rank: 2, inputs: 6, outputs: 8)], base: Self.llama),
        for: "llama.cpp", status: 65)
    }
  }
}

/// The largest difference of two arrays; infinite if they differ in length.
func largestDifference(_ left: [Double], _ right: [Double]) -> Double {
  left.count == right.count ? zip(left, right).map { abs($0 - $1) }.max() ?? 0 : .infinity
}
