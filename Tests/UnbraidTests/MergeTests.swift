import Checkpoints
import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// Whole numbers throughout, so that sums are exact in every type and results are compared bit for bit.
  @Suite struct MergeTests {
    @Test(
      "merge then extract gives the same updates back, for random shapes and ranks in every type",
      arguments: [ElementType.f32, .bf16, .f16], [UInt64(1), 2])
    func thereAndBack(type: ElementType, seed: UInt64) throws {
      let folder = try TemporaryFolder()
      let (base, adapter, modules) = Self.randomAdapter(type, seed: seed)
      try base.write(to: folder.file("base"), shardCount: 2)
      try adapter.write(to: folder.file("adapter"))
      try Self.run(["merge", folder.file("base"), folder.file("adapter"), "-o", folder.file("merged")])
      let merged = try modelTensors(folder.file("merged"))
      for module in modules {
        let expected = zip(base[module + ".weight"].values, adapter.product(module)).map { $0 + 2 * $1 }
        #expect(merged[module + ".weight"]?.values == expected)
        #expect(merged[module + ".weight"]?.elementType == type)
      }
      try Self.run([
        "extract", folder.file("base"), folder.file("merged"), "-o", folder.file("back"), "--rank", "64",
        "--factor-dtype", "f32",
      ])
      let back = try AdapterFolder(folder.file("back"))
      for module in modules {
        let truth = adapter.product(module).map { 2 * $0 }
        let factors = try #require(back.factors(module))
        let found = LoRAFixture(tensors: [factors.a, factors.b]).product(module)
        let error = zip(found, truth).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
        let norm = truth.reduce(0) { $0 + $1 * $1 }.squareRoot()
        #expect(error < 1e-5 * norm, "\(module): \(error) of \(norm)")
        #expect(back[module].rank <= adapter[module + ".lora_A.weight"]?.shape[0] ?? 0)
      }
    }

    @Test("several adapters with weights add up, and files keep their names or are cut anew")
    func several() throws {
      let folder = try TemporaryFolder()
      let (base, first, modules) = Self.randomAdapter(.f32, seed: 3)
      let second = Self.randomAdapter(.f32, seed: 3, factorSeed: 9).adapter
      try base.write(to: folder.file("base"), shardCount: 3)
      try first.write(to: folder.file("a"))
      try second.write(to: folder.file("b"))
      let inputs = [folder.file("base"), folder.file("a") + "=0.5", folder.file("b") + "=-2"]
      try Self.run(["merge"] + inputs + ["-o", folder.file("merged")])
      try Self.run(["merge"] + inputs + ["-o", folder.file("cut"), "--shard-size", "2K"])
      let merged = try modelTensors(folder.file("merged"))
      for module in modules {
        let updates = zip(first.product(module), second.product(module)).map { $0 - 4 * $1 }
        let expected = zip(base[module + ".weight"].values, updates).map(+)
        #expect(merged[module + ".weight"]?.values == expected)
      }
      let cut = try modelTensors(folder.file("cut"))
      #expect(cut.mapValues(\.bytes) == merged.mapValues(\.bytes))
      let names = { try FileManager.default.contentsOfDirectory(atPath: folder.file($0)).sorted() }
      #expect(try names("merged") == (names("base") + ["unbraid.json"]).sorted())
      #expect(try names("cut").count > names("base").count)
    }

    @Test("embeddings, tensors stored whole and both kinds of bias are PEFT's")
    func otherTensors() throws {
      let folder = try TemporaryFolder()
      let base = ModelPair.small().base
      var adapter = LoRAFixture()
      adapter.fields = ["r": "2", "lora_alpha": "6"]
      adapter.add(Name.query, out: 24, in: 16, rank: 2)
      adapter.add("\(Name.query).lora_B.bias", [24], (0..<24).map { Double($0) })
      adapter.add(Name.up, out: 48, in: 32, rank: 2, seed: 2)
      // No layer without a bias loses anything by a change of zero.
      adapter.add("\(Name.up).lora_B.bias", [48], Array(repeating: 0, count: 48))
      adapter.add("\(Name.embedding).lora_embedding_A", [2, 40], (0..<80).map { Double($0 % 5) })
      adapter.add("\(Name.embedding).lora_embedding_B", [16, 2], (0..<32).map { Double($0 % 3) })
      adapter.add("\(Name.norm).weight", [16], (0..<16).map { Double($0) }, .bf16)
      adapter.add("\(Name.other).self_attn.q_proj.base_layer.bias", [44 + 3], Array(repeating: 7, count: 47))
      try base.write(to: folder.file("base"))
      try adapter.write(to: folder.file("adapter"))
      try Self.run(["merge", folder.file("base"), folder.file("adapter"), "-o", folder.file("merged")])
      let merged = try modelTensors(folder.file("merged"))
      func old(_ name: String) -> [Double] { base[name].values }
      #expect(merged[Name.norm + ".weight"]?.values == (0..<16).map { Double($0) })
      #expect(merged[Name.norm + ".weight"]?.elementType == .f32)
      #expect(merged["\(Name.other).self_attn.q_proj.bias"]?.values == Array(repeating: 7, count: 47))
      let bias = zip(old(Name.query + ".bias"), 0..<24).map { Double(Float($0) + 3 * Float($1)) }
      #expect(merged[Name.query + ".bias"]?.values == bias)
      for token in 0..<40 {
        for column in 0..<16 {
          let update = (0..<2).reduce(0) {
            $0 + ((column * 2 + $1) % 3) * (($1 * 40 + token) % 5)
          }
          let expected = old(Name.embedding + ".weight")[token * 16 + column] + 3 * Double(update)
          let found = merged[Name.embedding + ".weight"]?.values[token * 16 + column] ?? .nan
          #expect(abs(found - expected) <= 1e-6 * max(1, abs(expected)))
        }
      }
    }

    @Test("a head tied to the embedding gets its own weights, unless both change alike")
    func tiedHead() throws {
      let folder = try TemporaryFolder()
      var base = ModelPair.small().base
      base.remove("lm_head.weight")
      base.configuration = base.configuration?.replacing("embeddings\":false", with: "embeddings\": true")
      let table = base[Name.embedding + ".weight"]
      try base.write(to: folder.file("base"))
      var head = LoRAFixture()
      head.fields["r"] = "2"
      head.add("lm_head", out: 40, in: 16, rank: 2)
      try head.write(to: folder.file("head"))
      let result = try Self.run([
        "merge", folder.file("base"), folder.file("head"), "-o", folder.file("untied"),
      ])
      #expect(result.errorOutput.contains("note: the head was tied to the input embedding"))
      let untied = try modelTensors(folder.file("untied"))
      #expect(untied[Name.embedding + ".weight"]?.bytes == table.bytes)
      #expect(untied["lm_head.weight"]?.values != table.values)
      #expect(try Self.configuration(folder.file("untied")).contains("\"tie_word_embeddings\": false"))

      var both = head
      func transposed(_ name: String, _ new: String) {
        let tensor = both[name] ?? head.tensors[0]
        let (rows, columns) = (tensor.shape[0], tensor.shape[1])
        both.add(
          new, [columns, rows], (0..<rows * columns).map { tensor.values[$0 % rows * columns + $0 / rows] })
      }
      transposed("lm_head.lora_B.weight", "\(Name.embedding).lora_embedding_A")
      transposed("lm_head.lora_A.weight", "\(Name.embedding).lora_embedding_B")
      try both.write(to: folder.file("both"))
      try Self.run(["merge", folder.file("base"), folder.file("both"), "-o", folder.file("tied")])
      let tied = try modelTensors(folder.file("tied"))
      #expect(tied["lm_head.weight"] == nil)
      #expect(tied[Name.embedding + ".weight"]?.values == untied["lm_head.weight"]?.values)
      #expect(try Self.configuration(folder.file("tied")).contains("\"tie_word_embeddings\": true"))
    }

    @Test("an adapter that does not fit the model is refused with one sentence, and nothing is written")
    func refusals() throws {
      let folder = try TemporaryFolder()
      try ModelPair.small().base.write(to: folder.file("base"))
      var cases: [(LoRAFixture, String)] = []
      func add(_ sentence: String, _ change: (inout LoRAFixture) -> Void) {
        var adapter = LoRAFixture()
        change(&adapter)
        cases.append((adapter, sentence))
      }
      add(
        "adapts module 'model.layers.9.mlp.up_proj', which {base} does not have (it has '\(Name.up)'); "
          + "give the model that the adapter was trained on"
      ) { $0.add("model.layers.9.mlp.up_proj", out: 48, in: 32, rank: 4) }
      add(
        "the update of module '\(Name.up)' is [47, 32], and '\(Name.up).weight' of the model is [48, 32]; "
          + "give the model that the adapter was trained on"
      ) { $0.add(Name.up, out: 47, in: 32, rank: 4) }
      add("stores 'score.weight', which {base} does not have; give the model that the adapter was trained on")
      {
        $0.add("score.weight", [2, 16], Array(repeating: 0, count: 32))
      }
      add(
        "stores '\(Name.embedding).weight' of shape [41, 16], and the model's is [40, 16]; resize the model's "
          + "vocabulary first, or give the model that the adapter was trained on"
      ) { $0.add("\(Name.embedding).weight", [41, 16], Array(repeating: 0, count: 656)) }
      add(
        "changes the bias of module '\(Name.up)', which has none in the model; give the model that the adapter "
          + "was trained on"
      ) {
        $0.add(Name.up, out: 48, in: 32, rank: 4)
        $0.add("\(Name.up).lora_B.bias", [48], Array(repeating: 1, count: 48))
      }
      for (index, (adapter, sentence)) in cases.enumerated() {
        let path = folder.file("adapter-\(index)")
        try adapter.write(to: path)
        let result = try Workspace.run(["merge", folder.file("base"), path, "-o", folder.file("out")])
        #expect(result.status == 65)
        #expect(
          result.errorOutput
            == "unbraid: \(path): \(sentence.replacing("{base}", with: folder.file("base")))\n")
        #expect(folder.contents.allSatisfy { !$0.hasPrefix("out") })
      }
    }

    @Test("a sum beyond the range of half precision is refused with its place")
    func overflow() throws {
      let folder = try TemporaryFolder()
      try ModelPair.small(.f16).base.write(to: folder.file("base"))
      var adapter = LoRAFixture()
      adapter.fields = ["r": "1", "lora_alpha": "1"]
      adapter.add("\(Name.up).lora_A.weight", [1, 32], (0..<32).map { $0 == 5 ? 300 : 0 })
      adapter.add("\(Name.up).lora_B.weight", [48, 1], (0..<48).map { $0 == 7 ? 300 : 0 })
      try adapter.write(to: folder.file("adapter"))
      let result = try Workspace.run([
        "merge", folder.file("base"), folder.file("adapter"), "-o", folder.file("out"),
      ])
      #expect(result.status == 65)
      #expect(
        result.errorOutput
          == "unbraid: tensor '\(Name.up).weight' would be no finite F16 number at [7, 5]; give the adapter a smaller "
          + "weight, or a model in a wider type\n")
      #expect(folder.contents.allSatisfy { !$0.hasPrefix("out") })
    }

    @Test("what is no number before the sum is named: in the model, or in the adapter")
    func notFinite() throws {
      let folder = try TemporaryFolder()
      var base = ModelPair.small().base
      base.set("\(Name.up).weight", at: 37, to: .nan)
      try base.write(to: folder.file("base"))
      try ModelPair.small().base.write(to: folder.file("sound"))
      var adapter = LoRAFixture()
      adapter.add(Name.up, out: 48, in: 32, rank: 4)
      try adapter.write(to: folder.file("adapter"))
      let model = try Workspace.run([
        "merge", folder.file("base"), folder.file("adapter"), "-o", folder.file("out"),
      ])
      #expect(model.status == 65)
      #expect(
        model.errorOutput
          == "unbraid: \(folder.file("base"))/model.safetensors: tensor '\(Name.up).weight' is nan at [1, 5], which "
          + "makes no model; get the file again\n")

      var whole = LoRAFixture()
      whole.add(Name.up, out: 48, in: 32, rank: 4)
      whole.add("\(Name.norm).weight", [16], (0..<16).map { $0 == 3 ? .infinity : 1 })
      try whole.write(to: folder.file("whole"))
      for weight in ["", "=0.5"] {
        let saved = try Workspace.run([
          "merge", folder.file("sound"), folder.file("whole") + weight, "-o", folder.file("out"),
        ])
        #expect(saved.status == 65)
        #expect(
          saved.errorOutput.hasPrefix(
            "unbraid: \(folder.file("whole"))/adapter_model.safetensors: "
              + "tensor 'base_model.model.\(Name.norm).weight' is inf at [0, 3], "), "\(saved.errorOutput)")
      }

      let damaged = folder.file("damaged")
      adapter.tensors[1] = FixtureTensor(
        adapter.tensors[1].name, shape: [48, 4], (0..<192).map { $0 == 7 ? .infinity : 1 })
      try adapter.write(to: damaged)
      let sentence =
        "unbraid: \(damaged)/adapter_model.safetensors: tensor 'base_model.model.\(Name.up).lora_B.weight' is no finite "
        + "number at [1, 3]; such an adapter cannot be used\n"
      for command in [
        ["merge", folder.file("sound"), damaged, "-o", folder.file("out")],
        ["resize", damaged, "--rank", "2", "-o", folder.file("out")],
        ["convert", damaged, folder.file("adapter"), "-o", folder.file("out")],
        ["convert", folder.file("adapter"), damaged, "-o", folder.file("out")],
        ["verify", folder.file("sound"), folder.file("sound"), damaged],
      ] {
        let result = try Workspace.run(command)
        #expect(result.status == 65 && result.errorOutput == sentence, "\(command[0]): \(result.errorOutput)")
      }
      #expect(folder.contents.allSatisfy { !$0.hasPrefix("out") })
    }

    /// A model of whole numbers with some linear layers of random shapes, and an adapter of scale 2 for them.
    private static func randomAdapter(_ type: ElementType, seed: UInt64, factorSeed: UInt64? = nil) -> (
      base: ModelFixture, adapter: LoRAFixture, modules: [String]
    ) {
      var random = SplitMix64(state: seed)
      func number(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int((random.nextUniform() + 1) / 2 * Double(range.count - 1) + 0.5)
      }
      var tensors: [FixtureTensor] = []
      var adapter = LoRAFixture()
      var modules: [String] = []
      var ranks: [String] = []
      for layer in 0..<8 {
        let (rows, columns) = (number(2...70), number(2...70))
        let rank = number(1...min(6, rows, columns))
        let module = "model.layers.\(layer).mlp.up_proj"
        let values = (0..<rows * columns).map { _ in (random.nextUniform() * 8).rounded() }
        tensors.append(FixtureTensor(module + ".weight", type, shape: [rows, columns], values))
        adapter.add(
          module, out: rows, in: columns, rank: rank, type: type, seed: (factorSeed ?? seed) + UInt64(layer))
        modules.append(module)
        ranks.append("\"layers.\(layer).mlp.up_proj\":\(rank)")
      }
      adapter.fields["rank_pattern"] = "{\(ranks.joined(separator: ","))}"
      adapter.fields["alpha_pattern"] =
        "{\(ranks.map { $0.split(separator: ":") }.map { "\($0[0]):\(2 * (Int($0[1]) ?? 0))" }.joined(separator: ","))}"
      let configuration = ModelPair.small().base.configuration
      return (ModelFixture(tensors, configuration: configuration), adapter, modules)
    }

    private static func configuration(_ folder: String) throws -> String {
      String(decoding: try Data(contentsOf: URL(filePath: folder + "/config.json")), as: UTF8.self)
    }

    /// Runs the program, which must succeed.
    @discardableResult
    private static func run(_ arguments: [String]) throws -> ProcessResult {
      let result = try Workspace.run(arguments)
      try #require(result.status == 0, "\(result.errorOutput)")
      return result
    }
  }
}
