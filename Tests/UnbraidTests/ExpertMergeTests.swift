import Checkpoints
import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// PEFT's `target_parameters`, merged into stacks of experts and into modules of single experts, bit for bit.
  @Suite struct ExpertMergeTests {
    private static let experts = "model.layers.0.mlp.experts"

    /// gate_up of rank 2 and scale 2 inside, down of rank 3 and scale 1 outside.
    private static func adapter(
      hidden: Int, inner: Int, in container: String = experts, turned: Bool = false, seed: UInt64 = 1,
      version: String? = nil
    ) -> (LoRAFixture, gateUp: FusedFactors, down: FusedFactors) {
      var adapter = LoRAFixture()
      adapter.fields = [
        "r": "3", "lora_alpha": "3", "target_parameters": #"["experts.gate_up_proj","experts.down_proj"]"#,
        "rank_pattern": #"{"experts.gate_up_proj":2}"#, "alpha_pattern": #"{"gate_up_proj":4}"#,
      ]
      adapter.fields["peft_version"] = version.map { "\"\($0)\"" }
      let gateUp = FusedFactors(
        container + ".gate_up_proj", wrapper: container + ".base_layer", rank: 2,
        inputs: turned ? 2 * inner : hidden, outputs: turned ? hidden : 2 * inner, seed: seed)
      let down = FusedFactors(
        container + ".down_proj", wrapper: container, rank: 3, inputs: turned ? hidden : inner,
        outputs: turned ? inner : hidden, seed: seed + 10)
      adapter.add(gateUp)
      adapter.add(down)
      return (adapter, gateUp, down)
    }

    /// A model of whole numbers, which sums with updates keep exact.
    private static func model(
      _ shapes: [(String, [Int])], type: ElementType = .f32, family: String
    ) -> ModelFixture {
      var random = SplitMix64(state: 5)
      let tensors = shapes.map { name, shape in
        FixtureTensor(
          name, type, shape: shape,
          (0..<shape.reduce(1, *)).map { _ in (random.nextUniform() * 8).rounded() })
      }
      return ModelFixture(tensors, configuration: #"{"model_type":"\#(family)"}"#)
    }

    /// How an expert's matrix lies beside the factors, by PEFT's rules for a family and a version.
    struct Order: Sendable {
      let family: String
      var version: String?
      var isSquare = false
      let isTransposed: Bool
      var type = ElementType.f32
    }

    @Test(
      "an expert of a stack gets its update the way round that shapes tell, or family and version",
      arguments: [
        Order(family: "granitemoe", isTransposed: false, type: .bf16),
        Order(family: "gpt_oss", isTransposed: true, type: .f16),
        // The shape is what counts where it tells.
        Order(family: "gpt_oss", version: "0.18.1", isTransposed: false),
        Order(family: "llama4", isSquare: true, isTransposed: false),
        Order(family: "gpt_oss", isSquare: true, isTransposed: true),
        Order(family: "gpt_oss", version: "0.19.1", isSquare: true, isTransposed: true),
        Order(family: "gpt_oss", version: "0.19.0", isSquare: true, isTransposed: false),
        Order(family: "gpt_oss", version: "0.18.1", isSquare: true, isTransposed: true),
        Order(family: "granitemoe", version: "0.21.2.dev0", isSquare: true, isTransposed: false),
        Order(family: "granitemoe", version: "0.19.0", isSquare: true, isTransposed: true),
        Order(family: "granitemoe", version: "0.17.0", isSquare: true, isTransposed: true),
        Order(family: "qwen3_vl_moe", version: "0.18.0", isSquare: true, isTransposed: false),
      ])
    func stacks(_ order: Order) throws {
      let folder = try TemporaryFolder()
      let (hidden, inner) = order.isSquare ? (6, 3) : (7, 5)
      let (adapter, gateUp, _) = Self.adapter(hidden: hidden, inner: inner, version: order.version)
      func stack(_ name: String, _ rows: Int, _ columns: Int) -> (String, [Int]) {
        ("\(Self.experts).\(name)", order.isTransposed ? [3, columns, rows] : [3, rows, columns])
      }
      let base = Self.model(
        [stack("gate_up_proj", 2 * inner, hidden), stack("down_proj", hidden, inner)], type: order.type,
        family: order.family)
      try base.write(to: folder.file("base"))
      try adapter.write(to: folder.file("adapter"))
      try Self.run(["merge", folder.file("base"), folder.file("adapter"), "-o", folder.file("merged")])
      let merged = try modelTensors(folder.file("merged"))
      // Of the square ones this is one.
      let expected = (0..<3).flatMap {
        (order.isTransposed ? gateUp.transposedProduct($0) : gateUp.product($0)).map { 2 * $0 }
      }
      let before = base[gateUp.parameter].values
      #expect(merged[gateUp.parameter]?.values == zip(before, expected).map { $0 + $1 })
      #expect(merged[gateUp.parameter]?.elementType == order.type)
    }

    @Test(
      "where experts have modules, gate and up get their rows of the update; adapters with weights add up",
      arguments: [
        ("mlp.experts", "mlp.experts", ["gate_proj", "up_proj", "down_proj"]),
        ("mlp.experts", "block_sparse_moe.experts", ["w1", "w3", "w2"]),
        ("feed_forward.experts", "feed_forward.experts", ["w1", "w3", "w2"]),
      ])
    func divided(loaded: String, stored: String, names: [String]) throws {
      let folder = try TemporaryFolder()
      let layer = "model.layers.0."
      let (first, gateUp, down) = Self.adapter(hidden: 7, inner: 5, in: layer + loaded)
      // Of before PEFT 0.19.1: A has what is B's today.
      let (second, turnedGateUp, turnedDown) = Self.adapter(
        hidden: 7, inner: 5, in: layer + loaded, turned: true, seed: 2, version: "0.18.1")
      func name(_ expert: Int, _ part: Int) -> String { "\(layer)\(stored).\(expert).\(names[part]).weight" }
      let base = Self.model(
        (0..<3).flatMap { [(name($0, 0), [5, 7]), (name($0, 1), [5, 7]), (name($0, 2), [7, 5])] },
        family: "any")
      try base.write(to: folder.file("base"), shardCount: 2)
      try first.write(to: folder.file("a"))
      try second.write(to: folder.file("b"))
      try Self.run([
        "merge", folder.file("base"), folder.file("a") + "=0.5", folder.file("b") + "=-2", "-o",
        folder.file("merged"),
      ])
      let merged = try modelTensors(folder.file("merged"))
      for expert in 0..<3 {
        let both = zip(gateUp.product(expert), turnedGateUp.transposedProduct(expert)).map { $0 - 4 * $1 }
        let updates = [
          Array(both[..<35]), Array(both[35...]),
          zip(down.product(expert), turnedDown.transposedProduct(expert)).map { 0.5 * $0 - 2 * $1 },
        ]
        for (part, update) in updates.enumerated() {
          let expected = zip(base[name(expert, part)].values, update).map { $0 + $1 }
          #expect(merged[name(expert, part)]?.values == expected, "\(name(expert, part))")
        }
      }
    }

    @Test("what Transformers renames when it loads a model is found: Granite's stacks, Mixtral's router")
    func renamed() throws {
      let folder = try TemporaryFolder()
      let block = "model.layers.0.block_sparse_moe"
      let (granite, _, down) = Self.adapter(hidden: 7, inner: 5, in: block + ".experts")
      var mixtral = LoRAFixture()
      mixtral.fields = [
        "r": "9", "lora_alpha": "4", "target_parameters": #"["gate.weight"]"#,
        "rank_pattern": #"{"mlp.gate.weight":2}"#,
      ]
      mixtral.add("model.layers.0.mlp.gate", out: 3, in: 7, rank: 2)
      let base = Self.model(
        [
          (block + ".input_linear.weight", [3, 10, 7]), (block + ".output_linear.weight", [3, 7, 5]),
          (block + ".gate.weight", [3, 7]),
        ], family: "any")
      try base.write(to: folder.file("base"))
      try granite.write(to: folder.file("granite"))
      try mixtral.write(to: folder.file("mixtral"))
      try Self.run([
        "merge", folder.file("base"), folder.file("granite"), folder.file("mixtral"), "-o",
        folder.file("merged"),
      ])
      let merged = try modelTensors(folder.file("merged"))
      for (name, update) in [
        (block + ".output_linear.weight", (0..<3).flatMap { down.product($0) }),
        (block + ".gate.weight", mixtral.product("model.layers.0.mlp.gate").map { 2 * $0 }),
      ] {
        #expect(merged[name]?.values == zip(base[name].values, update).map { $0 + $1 }, "\(name)")
      }
    }

    @Test("a sum beyond the range of half precision is refused with the expert and the place")
    func overflow() throws {
      let folder = try TemporaryFolder()
      var (adapter, _, down) = Self.adapter(hidden: 7, inner: 5)
      let base = Self.model(
        [(Self.experts + ".gate_up_proj", [3, 10, 7]), (down.parameter, [3, 7, 5])], type: .f16,
        family: "any")
      adapter.fields["alpha_pattern"] = #"{"down_proj":90000}"#
      try base.write(to: folder.file("base"))
      try adapter.write(to: folder.file("adapter"))
      let result = try Workspace.run([
        "merge", folder.file("base"), folder.file("adapter"), "-o", folder.file("out"),
      ])
      // 30000 times a whole number: with three or more a half is no number any more.
      let values = (0..<3).flatMap { down.product($0) }
      let first = try #require(values.firstIndex { abs($0) > 2 })
      #expect(result.status == 65)
      #expect(
        result.errorOutput.hasPrefix(
          "unbraid: tensor '\(down.parameter)[\(first / 35)]' would be no finite F16 number at "
            + "[\(first % 35 / 5), \(first % 5)]"), "\(result.errorOutput)")
    }

    @Test("another number of experts, another shape, and a model without them are refused")
    func refusals() throws {
      let folder = try TemporaryFolder()
      let (adapter, _, _) = Self.adapter(hidden: 7, inner: 5)
      try adapter.write(to: folder.file("adapter"))
      func modules(_ experts: Int) -> [(String, [Int])] {
        (0..<experts).flatMap { expert in
          [("gate_proj", [5, 7]), ("up_proj", [5, 7]), ("down_proj", [7, 5])].map {
            ("\(Self.experts).\(expert).\($0.0).weight", $0.1)
          }
        }
      }
      func stacks(_ experts: Int, _ hidden: Int) -> [(String, [Int])] {
        [
          (Self.experts + ".gate_up_proj", [experts, 10, hidden]),
          (Self.experts + ".down_proj", [experts, hidden, 5]),
        ]
      }
      let remedy =
        "give the model that the adapter was trained on, and the r and rank_pattern that belong to the factors"
      func count(_ found: Int, _ tensor: String) -> String {
        "adapts 3 experts of '\(Self.experts).down_proj', and the model has \(found) ('\(Self.experts)\(tensor)'); \(remedy)"
      }
      let cases = [
        (stacks(4, 7), count(4, ".down_proj")), (modules(2), count(2, ".0.down_proj.weight")),
        (modules(4), count(4, ".0.down_proj.weight")),
        (
          stacks(3, 8),
          "the update of module '\(Self.experts).down_proj[0]' is [7, 5], and '\(Self.experts).down_proj[0]' of the model "
            + "is [8, 5]; give the model that the adapter was trained on"
        ),
        (
          [("model.layers.0.mlp.up_proj.weight", [5, 7])],
          "adapts module '\(Self.experts).down_proj', which {base} does not have (it has "
            + "'model.layers.0.mlp.up_proj'); give the model that the adapter was trained on"
        ),
      ]
      for (index, (shapes, sentence)) in cases.enumerated() {
        let base = folder.file("base-\(index)")
        try Self.model(shapes, family: "any").write(to: base)
        let result = try Workspace.run(["merge", base, folder.file("adapter"), "-o", folder.file("out")])
        #expect(result.status == 65)
        #expect(
          result.errorOutput
            == "unbraid: \(folder.file("adapter")): \(sentence.replacing("{base}", with: base))\n")
        #expect(folder.contents.allSatisfy { !$0.hasPrefix("out") })
      }
    }

    /// Runs the program, which must succeed.
    private static func run(_ arguments: [String]) throws {
      let result = try Workspace.run(arguments)
      try #require(result.status == 0, "\(result.errorOutput)")
    }
  }
}
