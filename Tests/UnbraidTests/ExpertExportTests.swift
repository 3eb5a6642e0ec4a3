import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// Fused experts: PEFT's layouts of today and of before 0.19.1, taken apart and stacked.
  @Suite struct ExpertExportTests {
    private static let experts = "model.layers.0.mlp.experts"
    private static let base =
      #""model_type":"qwen3_moe","hidden_size":6,"num_experts":3,"num_hidden_layers":1,"num_attention_heads":2"#
    private static let fields =
      #""r":2,"lora_alpha":2,"target_parameters":["mlp.experts.gate_up_proj","mlp.experts.down_proj"]"#

    /// gate_up (inputs 6, outputs 2 · 5) is the inner wrapper, down (inputs 5, outputs 6) the outer one.
    private static func fixture() throws -> AdapterFixture {
      try AdapterFixture(
        [
          .init(experts + ".base_layer", rank: 6, inputs: 6, outputs: 10),
          .init(experts, rank: 6, inputs: 5, outputs: 6),
        ], fields: fields, base: base)
    }

    /// One expert's outputs × inputs by PEFT's definition: row e·r + k of A, column k·E + e of B.
    private static func update(_ fixture: AdapterFixture, _ path: String, expert: Int) -> [Double] {
      let (a, b) = (fixture[path + ".lora_A.weight"], fixture[path + ".lora_B.weight"])
      let (inputs, outputs) = (a.shape[1], b.shape[0])
      let (left, right) = (b.values, a.values)
      return (0..<outputs * inputs).map { index in
        (0..<2).reduce(0) {
          $0 + left[index / inputs * 6 + $1 * 3 + expert] * right[(expert * 2 + $1) * inputs + index % inputs]
        }
      }
    }

    @Test("vLLM gets every expert as modules of its own")
    func divided() throws {
      let fixture = try Self.fixture()
      let result = try fixture.export(for: "vllm")
      try #require(result.status == 0 && result.errorOutput.isEmpty, "\(result.errorOutput)")
      let tensors = try RawSafetensors.read(fixture.folder.file("out/adapter_model.safetensors"))
      #expect(tensors.count == 3 * 3 * 2)
      for expert in 0..<3 {
        func found(_ name: String) throws -> [Double] {
          let prefix = "base_model.model.\(Self.experts).\(expert).\(name).lora_"
          return try #require(tensors[prefix + "B.weight"]).times(#require(tensors[prefix + "A.weight"]))
        }
        let both = Self.update(fixture, Self.experts + ".base_layer", expert: expert)
        #expect(try largestDifference(found("gate_proj") + found("up_proj"), both) < 1e-6)
        #expect(
          try largestDifference(found("down_proj"), Self.update(fixture, Self.experts, expert: expert)) < 1e-6
        )
      }
      let targets = try fixture.configuration()["target_modules"] as? [String]
      #expect(targets?.count == 9 && targets?.contains(Self.experts + ".0.gate_proj") == true)
    }

    @Test("an adapter of before PEFT 0.19.1, with both factors the other way round, gives the same files")
    func oldLayout() throws {
      let new = try Self.fixture()
      // Row e·r + k of A there holds what column k·E + e of B holds here, and the other way round.
      let rows = (0..<3).flatMap { expert in (0..<2).map { $0 * 3 + expert } }
      func turned(_ path: String) -> [FixtureTensor] {
        let (a, b) = (new[path + ".lora_A.weight"], new[path + ".lora_B.weight"])
        let columns = b.transposed
        func permuted(_ matrix: FixtureTensor, _ order: [Int]) -> [Double] {
          let width = matrix.shape[1]
          return order.flatMap { matrix.values[$0 * width..<($0 + 1) * width] }
        }
        let oldA = FixtureTensor(a.name, shape: columns.shape, permuted(columns, rows))
        let inverse = (0..<6).map { column in rows.firstIndex(of: column) ?? 0 }
        let oldB = FixtureTensor(b.name, shape: a.shape, permuted(a, inverse)).transposed
        return [oldA, oldB]
      }
      let old = try AdapterFixture(
        tensors: turned(Self.experts + ".base_layer") + turned(Self.experts), fields: Self.fields,
        base: Self.base)
      for (profile, file) in [
        ("vllm", "adapter_model.safetensors"), ("llama.cpp", "adapter.gguf"), ("mlx", "adapters.safetensors"),
        ("peft", "adapter_model.safetensors"),
      ] {
        for fixture in [new, old] {
          let result = try fixture.export(for: profile, ["-o", fixture.folder.file(profile)])
          try #require(result.status == 0, "\(result.errorOutput)")
        }
        let bytes = try [new, old].map {
          try Data(contentsOf: URL(filePath: $0.folder.file(profile + "/" + file)))
        }
        #expect(bytes[0] == bytes[1], "\(profile)")
      }
    }

    @Test("ranks and scales of a parameter are patterns of its own path, also what is read of them")
    func patterns() throws {
      let fixture = try AdapterFixture(
        [
          .init(Self.experts + ".base_layer", rank: 6, inputs: 6, outputs: 10),
          .init(Self.experts, rank: 12, inputs: 5, outputs: 6),
          .init("model.layers.0.mlp.gate", rank: 3, inputs: 6, outputs: 3),
        ],
        fields: #""r":3,"lora_alpha":3,"rank_pattern":{"experts.gate_up_proj":2,"down_proj":4},"#
          + #""alpha_pattern":{"gate_up_proj":8},"target_parameters":["gate_up_proj","down_proj","gate.weight"]"#,
        base: Self.base)
      let result = try fixture.export(for: "peft")
      try #require(result.status == 0, "\(result.errorOutput)")
      let tensors = try RawSafetensors.read(fixture.folder.file("out/adapter_model.safetensors"))
      for tensor in fixture.tensors { #expect(tensors[tensor.name]?.bytes == tensor.bytes) }
      let configuration = try fixture.configuration()
      let (gateUp, gate) = (
        #"^model\.layers\.0\.mlp\.experts\.gate_up_proj$"#, #"^model\.layers\.0\.mlp\.gate\.weight$"#
      )
      #expect(configuration["r"] as? Int == 4 && configuration["lora_alpha"] as? Int == 3)
      #expect(configuration["rank_pattern"] as? [String: Int] == [gateUp: 2, gate: 3])
      #expect(configuration["alpha_pattern"] as? [String: Int] == [gateUp: 8, gate: 3])
      #expect(
        configuration["target_parameters"] as? [String] == ["gate_up_proj", "down_proj", "gate.weight"])
    }

    @Test("llama.cpp and mlx-lm get one stack a layer, modules of single experts too")
    func stacks() throws {
      let fixture = try AdapterFixture(
        [0, 2].map { .init("\(Self.experts).\($0).up_proj", rank: 2, inputs: 6, outputs: 5) }, base: Self.base
      )
      try #require(fixture.export(for: "all").status == 0)
      let file = try RawGGUF(fixture.folder.file("out/adapter.gguf"))
      let a = try #require(file.tensors["blk.0.ffn_up_exps.weight.lora_a"])
      let b = try #require(file.tensors["blk.0.ffn_up_exps.weight.lora_b"])
      #expect(a.dimensions == [6, 2, 3] && b.dimensions == [2, 5, 3])
      #expect(a.values[12..<24].allSatisfy { $0 == 0 } && b.values[10..<20].allSatisfy { $0 == 0 })
      #expect(Array(a.values[24...]) == fixture["\(Self.experts).2.up_proj.lora_A.weight"].values)
      let stacks = try RawSafetensors.read(fixture.folder.file("out/mlx/adapters.safetensors"))
      let switched = "model.layers.0.mlp.switch_mlp.up_proj"
      #expect(
        stacks[switched + ".lora_a"]?.shape == [3, 2, 6] && stacks[switched + ".lora_b"]?.shape == [3, 5, 2])
      #expect(stacks[switched + ".lora_b"]?.values == b.values)
    }

    @Test(
      "a router is a weight where each consumer has it",
      arguments: [("mixtral", "block_sparse_moe"), ("olmoe", "mlp")])
    func routers(family: String, block: String) throws {
      let fixture = try AdapterFixture(
        [.init("model.layers.0.mlp.gate", rank: 2, inputs: 6, outputs: 3)],
        fields: #""r":2,"lora_alpha":2,"target_parameters":["mlp.gate.weight"]"#,
        base: #""model_type":"\#(family)","hidden_size":6,"num_local_experts":3"#)
      let b = fixture["model.layers.0.mlp.gate.lora_B.weight"].values
      for profile in ["vllm", "llama.cpp", "mlx"] {
        let result = try fixture.export(for: profile, ["-o", fixture.folder.file(profile)])
        try #require(result.status == 0 && result.errorOutput.isEmpty, "\(result.errorOutput)")
      }
      let path = "model.layers.0.\(block).gate"
      let file = try RawGGUF(fixture.folder.file("llama.cpp/adapter.gguf"))
      #expect(file.tensors["blk.0.ffn_gate_inp.weight.lora_b"]?.values == b)
      let padded = try RawSafetensors.read(fixture.folder.file("vllm/adapter_model.safetensors"))
      #expect(padded["base_model.model.\(path).lora_B.weight"]?.shape == [3, 8])
      let turned = try RawSafetensors.read(fixture.folder.file("mlx/adapters.safetensors"))
      #expect(turned[path + ".lora_b"]?.shape == [2, 3])
    }

    @Test("fused experts that stay fused are said, with what vLLM takes them with")
    func fusedNote() throws {
      let result = try Self.fixture().export(for: "all")
      #expect(result.status == 0)
      #expect(
        result.sentences == [
          "unbraid: note: vllm: 2 fused updates of experts stay fused: vLLM takes them only with "
            + "--enable-mixed-moe-lora-format and is_3d_lora_weight in the request, gate_up_proj and down_proj together, and "
            + "passes over mixtral's; --for vllm takes them apart"
        ])
    }
  }
}
