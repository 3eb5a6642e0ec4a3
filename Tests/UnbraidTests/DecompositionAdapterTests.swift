import Checkpoints
import Foundation
import Glibc
import TestSupport
import Testing

extension UnbraidSuite {
  /// `unbraid adapter` of a folder that `decompose` made.
  @Suite struct DecompositionAdapterTests {
    private func decomposed(_ pair: ModelPair = .small(), _ options: [String] = []) throws -> Workspace {
      let workspace = try Workspace(pair)
      let result = try workspace.decompose(options)
      try #require(result.status == 0, "\(result.errorOutput)")
      return workspace
    }

    private func adapter(_ workspace: Workspace, _ options: [String], name: String = "out") throws
      -> AdapterFolder
    {
      let path = workspace.folder.file(name)
      let result = try workspace.adapterOfDecomposition(options, to: path)
      try #require(result.status == 0, "\(result.errorOutput)")
      return try AdapterFolder(path)
    }

    @Test(
      "a decomposition and an adapter of it are an extraction, byte for byte",
      arguments: [
        (["--rank", "6"], []), (["--rank", "6", "--head", "--embeddings"], ["--save-norms"]),
        (["--rank", "99", "--head"], ["--bias", "--factor-dtype", "bf16"]),
        (
          ["--rank-fraction", "0.3", "--method", "gram"],
          ["--factor-dtype", "f16", "--base-name", "hub/base"]
        ),
        (["--rank", "4", "--method", "exact", "--targets", "q_proj"], ["--save-norms", "--bias"]),
      ])
    func sameAsExtraction(decomposition: [String], adapter options: [String]) throws {
      var pair = ModelPair.small(layers: 4)
      pair.setChange(of: "model.layers.3.mlp.up_proj.weight", rank: 2)
      // Some things that did not change, which are laid out and left out.
      for name in [Name.up + ".weight", "model.layers.2.input_layernorm.weight"] {
        pair.tuned[name] = pair.base[name]
      }
      let workspace = try decomposed(pair, decomposition)
      // The models are not needed any longer.
      let extracted = try workspace.adapter(decomposition + options, name: "extracted")
      try FileManager.default.removeItem(atPath: workspace.tunedPath)
      try FileManager.default.removeItem(atPath: workspace.basePath)
      let made = try adapter(workspace, options)
      for file in ["adapter_model.safetensors", "adapter_config.json"] {
        #expect(try made.bytes(file) == extracted.bytes(file), "\(file)")
      }
      for record in extracted.report.modules {
        let other = made[record.module]
        #expect(other.rank == record.rank && other.singularValues == record.singularValues)
        #expect(abs(other.writtenResidual - record.writtenResidual) <= 1e-5 * record.norm)
      }
    }

    @Test("norms in bf16 are F32 in the folder, which NumPy reads, and bf16 again in the adapter")
    func roundedNorms() throws {
      let pair = ModelPair.small(.bf16)
      let workspace = try decomposed(pair, ["--rank", "3"])
      let stored = try #require(
        DecompositionOutput(workspace.decompositionPath).tensors[Name.norm + ".weight"])
      #expect(stored.elementType == .f32 && stored.values == pair.tuned[Name.norm + ".weight"].values)
      let extracted = try workspace.adapter(["--rank", "3", "--save-norms"], name: "extracted")
      let made = try adapter(workspace, ["--save-norms"])
      for file in ["adapter_model.safetensors", "adapter_config.json"] {
        #expect(try made.bytes(file) == extracted.bytes(file), "\(file)")
      }
    }

    @Test(
      "a layer that goes back to the base model takes its norms along",
      arguments: [["--drop-layers", "1"], ["--layers", "0"]])
    func layersOfNorms(options: [String]) throws {
      let workspace = try decomposed(.small(), ["--rank", "3"])
      let made = try adapter(workspace, ["--save-norms"] + options)
      let norms = made.tensors.keys.filter { $0.contains("layernorm") }
      #expect(norms == ["base_model.model.model.layers.0.input_layernorm.weight"])
      #expect(try made.text("adapter_config.json").contains("layers.1.input_layernorm") == false)
    }

    @Test("Transformers' Conv1D comes out as in an extraction")
    func conv1D() throws {
      var random = SplitMix64(state: 4)
      func model() -> ModelFixture {
        ModelFixture(
          [
            FixtureTensor(
              "h.0.attn.c_attn.weight", shape: [16, 48], (0..<768).map { _ in random.nextUniform() })
          ], configuration: #"{"architectures":["GPT2LMHeadModel"],"model_type":"gpt2"}"#)
      }
      let pair = ModelPair(base: model(), tuned: model())
      let workspace = try decomposed(pair, ["--rank", "5"])
      let extracted = try workspace.adapter(["--rank", "5"], name: "extracted")
      let made = try adapter(workspace, [])
      for file in ["adapter_model.safetensors", "adapter_config.json"] {
        #expect(try made.bytes(file) == extracted.bytes(file), "\(file)")
      }
    }

    @Test(
      "the report's residual is that of the factors as they will be multiplied, whatever was asked for",
      arguments: [
        [], ["--rank", "3"], ["--energy", "0.6", "--factor-dtype", "bf16"],
        ["--keep", "q_proj:1,3-5", "--drop", "up_proj:0", "--scale", "up_proj:2-=0.5", "--scale", "1.5"],
        ["--power", "0.5", "--decay", "up_proj:0.1", "--jitter", "0.3", "--seed", "5"],
        ["--scale", "q_proj:0-2=-1", "--factor-dtype", "f16"], ["--alpha", "7.5", "--rank", "4"],
        ["--alpha", "1000", "--factor-dtype", "bf16", "--energy", "0.7"], ["--layers", "1"],
        ["--drop-layers", "1", "--budget-parameters", "300"], ["--budget", "1K", "--factor-dtype", "bf16"],
        ["--noise-floor", "bf16"], ["--exclude", "up_proj", "--sv-ratio", "2"],
      ])
    func residuals(options: [String]) throws {
      let pair = ModelPair.small(layers: 2)
      let workspace = try decomposed(pair, ["--rank", "12", "--embeddings"])
      let adapter = try adapter(workspace, options)
      let alpha = try adapter.configuration()["lora_alpha"] as? Double
      let hasAlpha = options.contains("--alpha")
      for record in adapter.report.modules {
        let name = record.module + ".weight"
        let truth = DeltaTruth(base: pair.base[name], tuned: pair.tuned[name])
        guard let (a, b) = adapter.factors(record.module) else {
          #expect(record.rank == 0 && abs(record.writtenResidual - record.norm) < 1e-12)
          continue
        }
        #expect(a.shape[0] == record.rank && b.shape[1] == record.rank)
        let gain = hasAlpha ? (alpha ?? 0) / Double(record.rank) : 1
        let scaled = FixtureTensor(b.name, .f64, shape: b.shape, b.values.map { $0 * gain })
        let left = truth.residualEnergy(a: a, b: scaled)
        // Singular vectors in single precision are orthogonal to 1e-7 of what is left out.
        #expect(
          abs(record.writtenResidual * record.writtenResidual - left) < 1e-5 * truth.energy, "\(name)")
      }
      if hasAlpha {
        #expect(try adapter.text("adapter_config.json").contains("\"alpha_pattern\" : {\n\n  }"))
      }
    }

    @Test("changes of bias and norms come from the folder; PEFT multiplies a bias by alpha / rank too")
    func vectors() throws {
      let pair = ModelPair.small()
      let workspace = try decomposed(pair, ["--rank", "4"])
      let adapter = try adapter(workspace, ["--bias", "--save-norms", "--alpha", "6", "--rank", "3"])
      let prefix = "base_model.model."
      let bias = try #require(adapter.tensors[prefix + Name.query + ".lora_B.bias"])
      let (old, new) = (pair.base[Name.query + ".bias"].values, pair.tuned[Name.query + ".bias"].values)
      for (index, value) in bias.values.enumerated() {
        #expect(abs(value * 6 / 3 - (new[index] - old[index])) < 1e-7)
      }
      let none = try #require(adapter.tensors[prefix + Name.up + ".lora_B.bias"])
      #expect(none.values.allSatisfy { $0 == 0 })
      #expect(
        adapter.tensors[prefix + Name.norm + ".weight"]?.bytes == pair.tuned[Name.norm + ".weight"].bytes)
    }

    @Test("a budget in bytes is what the factors take, spread over all modules")
    func budget() throws {
      let workspace = try decomposed(.small(layers: 6), ["--rank", "12"])
      for budget in [600, 2000, 5000] {
        let adapter = try adapter(workspace, ["--budget", "\(budget)"], name: "of-\(budget)")
        let bytes = adapter.tensors.values.reduce(0) { $0 + $1.bytes.count }
        #expect(bytes <= budget && bytes > budget - 4 * 80)
        // A value that was left out has less energy for its size than any that was taken.
        let output = try DecompositionOutput(workspace.decompositionPath)
        var (taken, left): ([Double], [Double]) = ([], [])
        for module in output.record.modules {
          let values = try #require(output.tensors[module.module + ".S"]).values
          let densities = values.map { $0 * $0 / Double(module.shape.reduce(0, +)) }
          let rank = adapter[module.module].rank
          taken += densities.prefix(rank)
          left += densities.dropFirst(rank)
        }
        let sorted = (taken + left).sorted(by: >)
        #expect(taken.reduce(0, +) >= sorted.prefix(taken.count - 1).reduce(0, +))
      }
    }

    @Test("rules that want more than is stored say so, and rules that leave nothing are refused")
    func limits() throws {
      let workspace = try decomposed(.small(), ["--rank", "3"])
      let more = try workspace.adapterOfDecomposition(["--energy", "0.99"])
      #expect(more.status == 0)
      #expect(
        more.errorOutput.hasPrefix(
          "unbraid: note: 4 of 4 modules (such as 'model.layers.0.mlp.up_proj') would"))
      let none = try workspace.adapterOfDecomposition(
        ["--epsilon", "1e9"], to: workspace.folder.file("none"))
      #expect(
        none.status == 64 && none.errorOutput.contains("leave no singular value of any of the 4 modules"))
      #expect(access(workspace.folder.file("none"), F_OK) != 0)
    }

    @Test(
      "an option that means nothing here is refused with 64",
      arguments: [
        (["--complement"], "--complement is for joint decompositions"),
        (["--keep", "q_proj"], "--keep is 'q_proj'; give numbers such as 0-3,7"),
        (["--scale", "q_proj:0=x"], "--scale is 'q_proj:0=x'; give numbers such as 0.5"),
        (["--drop", "k_proj:0"], "--drop 'k_proj' matches none of the 4 modules"),
        (["--energy", "1.5"], "--energy is 1.5"), (["--alpha", "-1"], "--alpha is -1.0"),
        (["--budget", "1M", "--budget-energy", "0.5"], "exclude each other"),
        (["--sv-ratio", "1"], "--sv-ratio is 1.0; give a number above 1"),
        (["--compat", "kohya"], "--compat kohya is for --sv-fro"), (["--layers", "x"], "--layers is 'x'"),
        (["--targets", "lm_head"], "--targets 'lm_head' matches none"),
        (["--seed", "7"], "--seed is for --jitter; leave it out"),
      ])
    func usage(options: [String], sentence: String) throws {
      let workspace = try decomposed(.small(), ["--rank", "3"])
      let result = try workspace.adapterOfDecomposition(options)
      #expect(result.status == 64 && result.errorOutput.contains(sentence), "\(result.errorOutput)")
      #expect(access(workspace.outputPath, F_OK) != 0)
    }

    @Test("a change of bias beside an embedding's factors is refused with a remedy that there is")
    func biasOnEmbedding() throws {
      let workspace = try decomposed(.small(), ["--rank", "3", "--embeddings"])
      let result = try workspace.adapterOfDecomposition(["--bias"])
      #expect(result.status == 64)
      #expect(
        result.errorOutput.hasSuffix(
          "module '\(Name.embedding)': PEFT knows no bias on an embedding's adapter; leave out --bias or that module\n"
        ))
      let without = try workspace.adapterOfDecomposition(["--bias", "--exclude", "embed_tokens"])
      #expect(without.status == 0)
    }

    @Test(
      "a scale beyond the factors' range is refused, and leaves nothing",
      arguments: ["1e80", "1e300", "q_proj:0=-1e80"])
    func overflow(scale: String) throws {
      let workspace = try decomposed(.small(), ["--rank", "3"])
      let result = try workspace.adapterOfDecomposition(["--scale", scale])
      #expect(result.status == 65 && result.errorOutput.contains("does not fit f32; scale it by less"))
      #expect(access(workspace.outputPath, F_OK) != 0)
    }

    @Test("numbers that name nothing, and biases that go with their modules, are noted")
    func notes() throws {
      var pair = ModelPair.small()
      pair.tuned[Name.query + ".weight"] = pair.base[Name.query + ".weight"]
      let workspace = try decomposed(pair, ["--rank", "3"])
      for (options, note) in [
        (["--drop", "100-200"], "--drop 100-200 names no singular value: its modules have 3 or fewer"),
        (["--scale", "up_proj:3-=2"], "--scale up_proj:3-=2 names no singular value: its modules have 3"),
        (["--drop-layers", "30-40"], "--drop-layers 30-40 names no layer: there are 2, counted from 0"),
        (["--bias"], "the bias of 1 module (such as '\(Name.query)') changed and is left out"),
      ] {
        let result = try workspace.adapterOfDecomposition(
          options, to: workspace.folder.file(options.joined()))
        #expect(result.status == 0 && result.errorOutput.hasPrefix("unbraid: note: \(note)"))
      }
      let plain = try workspace.adapterOfDecomposition(["--drop", "2-", "--drop-layers", "1"])
      #expect(plain.status == 0 && plain.errorOutput.isEmpty, "\(plain.errorOutput)")
    }

    @Test("of a joint decomposition, rules for singular values are refused with 64")
    func joint() throws {
      let workspace = try Workspace(.small(layers: 4))
      let made = try Workspace.run(
        [
          "joint", workspace.basePath, workspace.tunedPath, "-o", workspace.decompositionPath, "--no-compare",
          "--rank", "4", "--group", "layers.[03].mlp.up_proj",
        ])
      try #require(made.status == 0, "\(made.errorOutput)")
      let result = try workspace.adapterOfDecomposition(["--energy", "0.5"])
      #expect(
        result.status == 64 && result.errorOutput.contains("--energy is for decompositions module by module"))
    }
  }
}
