import Checkpoints
import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// What stands in the files: bytes, names, shapes, types.
  @Suite struct AdapterFileTests {
    @Test("the adapter, its configuration and its card are the same bytes for 1, 2, 3 and 4 ranks")
    func sameBytes() throws {
      var pair = ModelPair.small(layers: 18)
      pair.setChange(of: "model.layers.3.mlp.up_proj.weight", rank: 2)
      let workspace = try Workspace(pair)
      let options = ["--rank", "4", "--head", "--embeddings", "--save-norms"]
      let alone = try workspace.adapter(options, name: "alone")
      #expect(alone.report.modules.count == 38)
      for ranks in 1...4 {
        let other = try workspace.adapter(options, ranks: ranks, name: "ranks-\(ranks)")
        #expect(other.report.ranks.map(\.mpiRank) == Array(0..<ranks))
        for file in ["adapter_model.safetensors", "adapter_config.json", "README.md"] {
          #expect(try other.bytes(file) == alone.bytes(file), "\(file) of \(ranks) ranks")
        }
      }
    }

    @Test("more ranks than modules give the same bytes too")
    func idleRanks() throws {
      let workspace = try Workspace(.small(layers: 1))
      let options = ["--rank", "2", "--include", "up_proj"]
      let alone = try workspace.adapter(options, name: "alone")
      let many = try workspace.adapter(options, ranks: 4, name: "many")
      #expect(
        try many.bytes("adapter_model.safetensors") == alone.bytes("adapter_model.safetensors"))
    }

    @Test("the same seed gives the same file, another seed another start of the iteration")
    func seed() throws {
      let workspace = try Workspace()
      let options = ["--rank", "2", "--method", "krylov", "--tolerance", "0.3"]
      let file = "adapter_model.safetensors"
      let first = try workspace.adapter(options + ["--seed", "7"], name: "first")
      let same = try workspace.adapter(options + ["--seed", "7"], name: "same")
      let other = try workspace.adapter(options + ["--seed", "8"], name: "other")
      #expect(try first.bytes(file) == same.bytes(file))
      #expect(try first.bytes(file) != other.bytes(file))
    }

    @Test("a single file and shards give the same adapter")
    func shards() throws {
      let single = try Workspace().adapter(["--rank", "4"])
      let sharded = try Workspace(.small(), shardCount: 3).adapter(["--rank", "4"])
      let file = "adapter_model.safetensors"
      #expect(try single.bytes(file) == sharded.bytes(file))
    }

    @Test("models given as files, and relative paths, give the same adapter as folders")
    func files() throws {
      let workspace = try Workspace()
      let folders = try workspace.adapter(["--rank", "4"])
      let result = try ProcessRunner.run(
        BuiltProduct.path(of: "unbraid"),
        [
          "extract", "base/model.safetensors", "tuned/model.safetensors", "-o", "files", "--rank", "4",
          "--base-name", "hub/base",
        ], workingFolder: workspace.folder.path)
      #expect(result.status == 0, "\(result.errorOutput)")
      let files = try AdapterFolder(workspace.folder.file("files"))
      #expect(
        try files.bytes("adapter_model.safetensors") == folders.bytes("adapter_model.safetensors"))
    }

    @Test("a factor beyond the range of half precision is refused with the remedy")
    func overflow() throws {
      var pair = ModelPair.small()
      pair.tuned.set(Name.up + ".weight", at: 0, to: 1e12)
      let workspace = try Workspace(pair)
      let result = try workspace.extract(["--rank", "4", "--factor-dtype", "f16"])
      #expect(result.status == 65)
      #expect(
        result.errorOutput.hasPrefix("unbraid: module '\(Name.up)': a factor of a difference with largest "))
      #expect(result.errorOutput.hasSuffix(" does not fit f16; use --factor-dtype f32\n"))
      #expect(workspace.folder.contents.allSatisfy { !$0.hasPrefix("out") })
    }

    @Test(
      "every factor has its shape and the type asked for, or the models' own",
      arguments: [
        ("f32", .f32, .f32), ("bf16", .f32, .bf16), ("f16", .f32, .f16),
        (nil, .f32, .f32), (nil, .bf16, .bf16), (nil, .f16, .f32), ("f32", .bf16, .f32),
      ] as [(String?, ElementType, ElementType)])
    func shapes(option: String?, modelType: ElementType, expected: ElementType) throws {
      let pair = ModelPair.small(modelType)
      let options = option.map { ["--factor-dtype", $0] } ?? []
      let adapter = try Workspace(pair).adapter(options + ["--rank", "5", "--head", "--embeddings"])
      #expect(adapter.tensors.count == 2 * 6)
      for record in adapter.report.modules {
        let (a, b) = try #require(adapter.factors(record.module))
        let isEmbedding = record.module == Name.embedding
        #expect(a.shape == [5, record.shape[isEmbedding ? 0 : 1]])
        #expect(b.shape == [record.shape[isEmbedding ? 1 : 0], 5])
        #expect(a.elementType == expected && b.elementType == expected)
        #expect(b.name.hasSuffix(isEmbedding ? ".lora_embedding_B" : ".lora_B.weight"))
      }
    }

    @Test("the configuration names the base model, the targets, one rank and alpha = r")
    func configuration() throws {
      let workspace = try Workspace()
      let configuration = try workspace.adapter(["--rank", "4"]).configuration()
      #expect(configuration["base_model_name_or_path"] as? String == workspace.basePath)
      #expect(configuration["target_modules"] as? [String] == ["q_proj", "up_proj"])
      #expect(configuration["r"] as? Int == 4)
      #expect(configuration["lora_alpha"] as? Int == 4)
      #expect(configuration["rank_pattern"] as? [String: Int] == [:])
      #expect(configuration["init_lora_weights"] as? Bool == true)
      #expect(configuration["task_type"] as? String == "CAUSAL_LM")
      let named = try workspace.adapter(["--rank", "4", "--base-name", "hub/base"], name: "named")
      #expect(try named.configuration()["base_model_name_or_path"] as? String == "hub/base")
      #expect(try named.text("README.md").contains("base_model: \"hub/base\""))
    }

    @Test("a difference of low rank gets its true rank, in the file and in anchored patterns")
    func trueRank() throws {
      var pair = ModelPair.small()
      pair.setChange(of: Name.up + ".weight", rank: 3)
      let workspace = try Workspace(pair)
      for method in ["gram", "krylov", "dense"] {
        let adapter = try workspace.adapter(["--rank", "8", "--method", method], name: method)
        #expect(adapter[Name.up].rank == 3, "\(method)")
        #expect(adapter[Name.up].requestedRank == 8)
        #expect(adapter[Name.up].singularValues.count == 3)
        #expect(adapter[Name.up].writtenResidual < 1e-5 * adapter[Name.up].norm)
        #expect(adapter.factors(Name.up)?.a.shape == [3, 32])
        #expect(adapter.factors(Name.up)?.b.shape == [48, 3])
        let configuration = try adapter.configuration()
        let pattern = ["^model\\.layers\\.0\\.mlp\\.up_proj$": 3]
        #expect(configuration["rank_pattern"] as? [String: Int] == pattern)
        #expect(configuration["alpha_pattern"] as? [String: Int] == pattern)
        #expect(configuration["r"] as? Int == 8)
      }
    }

    @Test("a module that did not change is left out of the file, and named")
    func unchanged() throws {
      var pair = ModelPair.small()
      pair.tuned[Name.up + ".weight"] = pair.base[Name.up + ".weight"]
      let workspace = try Workspace(pair)
      let result = try workspace.extract(["--rank", "4"])
      #expect(result.output.hasPrefix("\(workspace.outputPath): 3 of 4 modules, "))
      let adapter = try AdapterFolder(workspace.outputPath)
      #expect(!adapter.adapted.contains(Name.up))
      #expect(adapter.adapted.count == 3)
      #expect(adapter[Name.up].rank == 0)
      #expect(adapter[Name.up].norm == 0)
      #expect(try adapter.text("README.md").contains("| `\(Name.up)` | 48 × 32 | 0 |"))
      let targets = try adapter.configuration()["target_modules"] as? [String]
      #expect(targets == ["model.layers.1.mlp.up_proj", "q_proj"])
    }

    @Test("changed norms are stored whole and exactly with --save-norms, unchanged ones are not")
    func norms() throws {
      var pair = ModelPair.small(.bf16)
      let other = "model.layers.1.input_layernorm"
      pair.tuned[other + ".weight"] = pair.base[other + ".weight"]
      let adapter = try Workspace(pair).adapter(["--rank", "4", "--save-norms"])
      let stored = adapter.tensors["base_model.model.\(Name.norm).weight"]
      #expect(stored?.bytes == pair.tuned[Name.norm + ".weight"].bytes)
      #expect(stored?.elementType == .bf16)
      #expect(adapter.tensors["base_model.model.\(other).weight"] == nil)
      #expect(try adapter.configuration()["modules_to_save"] as? [String] == [Name.norm])
    }

    @Test("changes of bias are stored exactly with --bias, zeros where a layer has none")
    func biases() throws {
      let pair = ModelPair.small()
      let adapter = try Workspace(pair).adapter(["--rank", "4", "--bias"])
      let bias = try #require(adapter.tensors["base_model.model.\(Name.query).lora_B.bias"])
      let name = Name.query + ".bias"
      let expected = zip(pair.tuned[name].values, pair.base[name].values).map {
        Double(Float($0) - Float($1))
      }
      #expect(bias.values == expected)
      let zeros = try #require(adapter.tensors["base_model.model.\(Name.up).lora_B.bias"])
      #expect(zeros.values == Array(repeating: 0, count: 48))
      #expect(try adapter.configuration()["lora_bias"] as? Bool == true)
      #expect(adapter.report.notes.isEmpty)
    }

    @Test("a change of bias that has no factors to go with is noted, one that is none is not")
    func biasesLeftOut() throws {
      var pair = ModelPair.small()
      for layer in 0..<2 {
        let name = "model.layers.\(layer).self_attn.q_proj.weight"
        pair.tuned[name] = pair.base[name]
      }
      let second = "model.layers.1.self_attn.q_proj.bias"
      pair.tuned[second] = pair.base[second]
      let workspace = try Workspace(pair)
      let result = try workspace.extract(["--rank", "4", "--bias"])
      let note =
        "the bias of 1 module (such as '\(Name.query)') changed and is left out: PEFT keeps a change of bias beside "
        + "factors only, and the adapter has none of theirs"
      #expect(result.status == 0 && result.sentences == ["unbraid: note: \(note)"])
      let adapter = try AdapterFolder(workspace.outputPath)
      #expect(adapter.report.notes == [note])
      #expect(adapter.tensors["base_model.model.\(Name.query).lora_B.bias"] == nil)
      let card = try String(contentsOfFile: workspace.outputPath + "/README.md", encoding: .utf8)
      #expect(card.contains(note))
    }
  }
}
