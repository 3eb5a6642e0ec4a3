import Adapters
import Checkpoints
import Foundation
import LinearAlgebra
import TestSupport
import Testing
import WeightSources

/// PEFT's `target_parameters` read expert by expert.
@Suite struct FusedExpertsTests {
  private static let experts = "model.layers.0.mlp.experts"
  private static let both = #""target_parameters":["experts.gate_up_proj","experts.down_proj"]"#

  /// A and B of some rank for all experts together, of 5 inputs and 6 outputs.
  private static func factors(_ wrapper: String, rank: Int, first: Double = 0) -> [FixtureTensor] {
    let prefix = "base_model.model.\(wrapper).lora_"
    return [
      FixtureTensor(prefix + "A.weight", shape: [rank, 5], (0..<rank * 5).map { first + Double($0) }),
      FixtureTensor(prefix + "B.weight", shape: [6, rank], (0..<6 * rank).map { first - Double($0) }),
    ]
  }

  private static func adapter(_ tensors: [FixtureTensor], _ fields: String) throws -> (
    adapter: PEFTAdapter, folder: TemporaryFolder
  ) {
    let folder = try TemporaryFolder()
    try folder.write(RawSafetensors.file(tensors), to: "adapter_model.safetensors")
    try folder.write(Array(#"{"peft_type":"LORA",\#(fields)}"#.utf8), to: "adapter_config.json")
    return (try PEFTAdapter.open(folder.path), folder)
  }

  @Test("every expert is a module; ranks and alphas are those of the parameter's path, by pattern")
  func modules() throws {
    let query = "model.layers.0.self_attn.q_proj"
    let (adapter, folder) = try Self.adapter(
      Self.factors(Self.experts + ".base_layer", rank: 6) + Self.factors(Self.experts, rank: 12)
        + Self.factors(query, rank: 4) + Self.factors("model.layers.0.mlp.gate", rank: 4),
      #""r":4,"lora_alpha":8,"rank_pattern":{"gate_up_proj":2},"alpha_pattern":{"experts.down_proj":2,"mlp.experts":99},"#
        + #""target_parameters":["gate_up_proj","down_proj","mlp.gate.weight"]"#)
    defer { withExtendedLifetime(folder) {} }
    let names = ["down_proj", "gate_up_proj"].flatMap { name in
      (0..<3).map { "\(Self.experts).\(name)[\($0)]" }
    }
    #expect(adapter.modules.map(\.path) == names + ["model.layers.0.mlp.gate", query])
    #expect(adapter.modules.map(\.rank) == [4, 4, 4, 2, 2, 2, 4, 4])
    #expect(adapter.modules.map(\.scale) == [0.5, 0.5, 0.5, 4, 4, 4, 2, 2])
    #expect(adapter.modules.map(\.inputCount).allSatisfy { $0 == 5 })
    #expect(adapter.modules.map { $0.expert?.index } == [0, 1, 2, 0, 1, 2, 0, nil])
    #expect(adapter.modules[3].expert?.wrapper == Self.experts + ".base_layer")
    // Of two components each, row e·2 + k of A and column k·3 + e of B are expert e's.
    let factors = try adapter.readFactors(of: adapter.modules[4], with: DeltaReader())
    #expect(factors.a.elements == (10..<20).map { Float($0) })
    let columns = (0..<6).flatMap { row in [1, 4].map { column in -Float(row * 6 + column) } }
    #expect(factors.b.elements == columns)
  }

  @Test("the factors of all experts are read from the file once, also if two parameters take turns")
  func readOnce() throws {
    let tensors = Self.factors(Self.experts + ".base_layer", rank: 6) + Self.factors(Self.experts, rank: 6)
    let (adapter, folder) = try Self.adapter(tensors, #""r":2,"# + Self.both)
    defer { withExtendedLifetime(folder) {} }
    let reader = DeltaReader()
    for index in [0, 3, 1, 4, 2, 5] {
      _ = try adapter.readFactors(of: adapter.modules[index], with: reader)
    }
    #expect(reader.bytesRead == tensors.reduce(0) { $0 + $1.bytes.count })
    #expect(adapter.modules.reduce(0) { $0 + $1.byteCount } == reader.bytesRead)
  }

  @Test("what is not whole, or does not fit its configuration, is refused")
  func damage() throws {
    let inner = Self.experts + ".base_layer"
    let whole = Self.factors(inner, rank: 6) + Self.factors(Self.experts, rank: 6)
    let bias = FixtureTensor(
      "base_model.model.\(Self.experts).lora_B.bias", shape: [6], Array(repeating: 1, count: 6))
    let cases: [([FixtureTensor], String, String)] = [
      (
        whole, #""r":4,"# + Self.both,
        "the factors of '\(Self.experts).down_proj' have rank 6 for all experts together, no multiple of the 4"
      ),
      (
        Self.factors(Self.experts, rank: 6), #""r":2,"# + Self.both,
        "target_parameters takes in '\(Self.experts).down_proj' and '\(Self.experts).gate_up_proj', and the adapter has no "
          + "factors '\(inner)' for one of them"
      ),
      (
        whole, #""r":2,"target_parameters":["experts.down_proj"]"#,
        "target_parameters names no parameter that the factors '\(inner)' could be of"
      ),
      (
        whole, #""r":2,"target_parameters":["experts.first","experts.second"]"#,
        "'\(Self.experts).second' is one of several adapted parameters of a module, whose order nobody here knows"
      ),
      (whole + [bias], #""r":2,"# + Self.both, "'\(bias.name)' is none of a LoRA adapter"),
      (
        Self.factors(Self.experts, rank: 2), #""r":2,"target_parameters":["experts.bias"]"#,
        "the parameter '\(Self.experts).bias' is neither a weight nor one of fused experts"
      ),
      (whole, #""r":2"#, "the factors of module '\(Self.experts)' have rank 6"),
    ]
    for (tensors, fields, problem) in cases {
      let error = try #require(throws: PEFTAdapterError.self) { _ = try Self.adapter(tensors, fields) }
      #expect(error.description.contains(problem), "\(error)")
    }
  }

  @Test("a NaN among the factors of all experts is refused with its place there")
  func notFinite() throws {
    for (factor, entry, expected) in [
      (0, 12, "lora_A.weight[1]' is no finite number at [0, 2]"),
      (1, 6 * 3 + 4, "lora_B.weight' is no finite number at [3, 4]"),
    ] {
      var tensors = Self.factors(Self.experts, rank: 6)
      var values = tensors[factor].values
      values[entry] = .nan
      tensors[factor] = FixtureTensor(tensors[factor].name, shape: tensors[factor].shape, values)
      let (adapter, folder) = try Self.adapter(
        tensors, #""r":2,"target_parameters":["experts.down_proj"]"#)
      defer { withExtendedLifetime(folder) {} }
      let reader = DeltaReader()
      _ = try adapter.readFactors(of: adapter.modules[0], with: reader)
      let error = try #require(throws: PEFTAdapterError.self) {
        _ = try adapter.readFactors(of: adapter.modules[1], with: reader)
      }
      #expect(error.description.contains(expected), "\(error)")
    }
  }
}
