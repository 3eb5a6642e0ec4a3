import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// Models whose experts are stacked in one tensor, or modules that Transformers 5 stacks when it loads them.
  @Suite struct ExpertTests {
    private static let wrappers = (
      gateUp: ExpertPair.block + ".experts.base_layer", down: ExpertPair.block + ".experts"
    )

    /// The largest ‖Δ − B·A‖² of an expert over its ‖Δ‖², by PEFT's definition.
    private func worstLoss(
      _ pair: ExpertPair, _ tensor: String, _ adapter: AdapterFolder, wrapper: String, isTurned: Bool = false
    )
      throws -> Double
    {
      let (a, b) = try #require(adapter.factors(wrapper), "\(adapter.adapted)")
      return (0..<ExpertPair.count).map { expert in
        let truth = pair.truth(tensor, expert: expert)
        let own = FixtureTensor.expert(expert, of: ExpertPair.count, a: a, b: b)
        let left = truth.residualEnergy(a: own.a, b: own.b, isTransposed: isTurned)
        return left / max(truth.energy, 1e-12)
      }.max() ?? 1
    }

    @Test(
      "every expert is decomposed by itself, and stored as PEFT's target_parameters",
      arguments: [
        ("qwen3_5_moe", false, 5), ("gpt_oss", true, 5), ("llama4", false, 5), ("gpt_oss", true, 3),
        ("llama4", false, 3),
      ])
    func stacks(family: String, isTurned: Bool, inner: Int) throws {
      let pair = ExpertPair.stacked(modelType: family, isTurned: isTurned, inner: inner)
      let workspace = try Workspace(pair.models)
      let adapter = try workspace.adapter(["--rank", "2"])
      for (tensor, wrapper) in [
        (ExpertPair.gateUp, Self.wrappers.gateUp), (ExpertPair.down, Self.wrappers.down),
      ] {
        #expect(try worstLoss(pair, tensor, adapter, wrapper: wrapper, isTurned: isTurned) < 1e-9)
      }
      let configuration = try adapter.configuration()
      #expect(
        configuration["target_parameters"] as? [String] == [
          ExpertPair.down, ExpertPair.gateUp, ExpertPair.block + ".gate.weight",
          "model.layers.1.mlp.experts.down_proj", "model.layers.1.mlp.experts.gate_up_proj",
        ])
      #expect(configuration["target_modules"] as? [String] == ["q_proj"])
      #expect((configuration["rank_pattern"] as? [String: Int])?.isEmpty == true)
      #expect(adapter.report.modules.count == 2 + 4 * ExpertPair.count)
      #expect(adapter["\(ExpertPair.gateUp)[2]"].rank == 2)
      let shared = try workspace.adapter(["--rank", "2"], ranks: 2, name: "two")
      #expect(try shared.bytes("adapter_model.safetensors") == adapter.bytes("adapter_model.safetensors"))
    }

    @Test("an expert that did not change has zeros; a layer that did not change is not there")
    func unchanged() throws {
      var pair = ExpertPair.stacked()
      pair.undo(ExpertPair.gateUp)
      pair.undo(ExpertPair.down, matrix: 1)
      pair.undo("model.layers.1.mlp.experts.gate_up_proj")
      pair.undo("model.layers.1.mlp.experts.down_proj")
      let adapter = try Workspace(pair.models).adapter(["--rank", "2"])
      // PEFT wraps what it adapts of a module one in the other: without the inner one the outer one has another name.
      let (a, b) = try #require(adapter.factors(Self.wrappers.down))
      #expect(a.shape == [6, 5] && b.shape == [6, 6])
      #expect(try worstLoss(pair, ExpertPair.down, adapter, wrapper: Self.wrappers.down) < 1e-9)
      let own = FixtureTensor.expert(1, of: 3, a: a, b: b)
      #expect(own.a.values.allSatisfy { $0 == 0 } && own.b.values.allSatisfy { $0 == 0 })
      let inner = try #require(adapter.factors(Self.wrappers.gateUp))
      #expect(inner.a.values.allSatisfy { $0 == 0 } && inner.b.values.allSatisfy { $0 == 0 })
      #expect(!adapter.adapted.contains { $0.contains("layers.1") })
      #expect(
        try adapter.configuration()["target_parameters"] as? [String]
          == [ExpertPair.down, ExpertPair.gateUp, ExpertPair.block + ".gate.weight"])
    }

    @Test("experts that are modules have one rank, and zeros where they did not change")
    func modules() throws {
      var pair = ExpertPair.modules()
      let still = ExpertPair.block + ".experts.1.up_proj"
      pair.undo(still + ".weight")
      let adapter = try Workspace(pair.models).adapter(["--rank-fraction", "0.6"])
      // An expert's shorter side is 5, a router's 3; the attention's of 6 has a rank of its own.
      for module in adapter.adapted where module.contains(".mlp.") {
        let (a, b) = try #require(adapter.factors(module))
        #expect(a.shape[0] == 3 && b.shape[1] == 3, "\(module)")
      }
      #expect(adapter.adapted.contains(still) && adapter[still].rank == 0)
      let patterns = try #require(adapter.configuration()["rank_pattern"] as? [String: Int])
      #expect(patterns.keys.allSatisfy { $0.contains("q_proj") })
      #expect(try adapter.configuration()["lora_alpha"] as? Int == 3)
      #expect(try adapter.configuration()["r"] as? Int == 3)
      let router = ExpertPair.block + ".gate"
      let (a, b) = try #require(adapter.factors(router))
      let truth = DeltaTruth(
        base: pair.models.base[router + ".weight"], tuned: pair.models.tuned[router + ".weight"])
      #expect(truth.residualEnergy(a: a, b: b) < 1e-9 * truth.energy)
    }

    @Test(
      "a stack's name selects its experts, and a pattern single ones",
      arguments: [
        (["--targets", "gate_up_proj"], ["model.layers.0.mlp.experts", "model.layers.1.mlp.experts"], 6, 4),
        (["--include", #"layers\.0.*down_proj\[2\]"#], ["model.layers.0.mlp.experts"], 1, 7),
        (["--exclude", "experts"], ["model.layers.0.mlp.gate", "model.layers.0.self_attn.q_proj"], 2, 4),
      ])
    func selection(options: [String], adapted: [String], moduleCount: Int, leftOutCount: Int) throws {
      let pair = ExpertPair.stacked()
      let adapter = try Workspace(pair.models).adapter(options + ["--rank", "2"])
      #expect(adapter.adapted == adapted)
      #expect(adapter.report.modules.count == moduleCount)
      // A stack of which nothing was taken is one entry.
      #expect(adapter.report.leftOut.count == leftOutCount)
      #expect(adapter.report.leftOut.allSatisfy { ($0.difference?.energy ?? 0) > 0 })
    }

    @Test("rules give experts ranks of their own, which are stored as one")
    func ranksOfRules() throws {
      let pair = ExpertPair.stacked()
      let workspace = try Workspace(pair.models)
      let folder = workspace.folder.file("triplets")
      try #require(
        Workspace.run(["decompose", workspace.basePath, workspace.tunedPath, "-o", folder, "--rank", "4"])
          .status == 0)
      for options in [["--energy", "0.8"], ["--energy", "0.8", "--alpha", "7"]] {
        let path = workspace.folder.file("adapter" + options.joined())
        let result = try Workspace.run(["adapter", folder, "-o", path] + options)
        try #require(result.status == 0, "\(result.errorOutput)")
        let adapter = try AdapterFolder(path)
        let ranks = (0..<3).map { adapter["\(ExpertPair.gateUp)[\($0)]"].rank }
        try #require(Set(ranks).count > 1, "the case is of no use: \(ranks)")
        let (a, b) = try #require(adapter.factors(Self.wrappers.gateUp))
        #expect(a.shape[0] == 3 * (ranks.max() ?? 0))
        let configuration = try adapter.configuration()
        let alpha = try #require(configuration["lora_alpha"] as? Int)
        let patterns = try #require(configuration["alpha_pattern"] as? [String: Int])
        let key = "^" + ExpertPair.gateUp.replacing(".", with: #"\."#) + "$"
        let scale = Double(patterns[key] ?? alpha) / Double(ranks.max() ?? 1)
        for expert in 0..<3 {
          let record = adapter["\(ExpertPair.gateUp)[\(expert)]"]
          let own = FixtureTensor.expert(expert, of: 3, a: a, b: b)
          let scaled = FixtureTensor(own.b.name, shape: own.b.shape, own.b.values.map { $0 * scale })
          let left = pair.truth(ExpertPair.gateUp, expert: expert).residualEnergy(a: own.a, b: scaled)
          #expect(
            abs(left - record.writtenResidual * record.writtenResidual) < 1e-6 * record.norm * record.norm)
        }
      }
    }

    @Test(
      "PEFT gets all experts of a layer, zeros for those that were not chosen",
      arguments: ["extract", "adapter"])
    func chosenModules(command: String) throws {
      let pair = ExpertPair.modules()
      let workspace = try Workspace(pair.models)
      let options = ["--include", #"experts\.1\.up_proj"#]
      if command == "extract" {
        try #require(workspace.extract(["--rank", "2"] + options).status == 0)
      } else {
        let folder = workspace.folder.file("triplets")
        let whole = ["decompose", workspace.basePath, workspace.tunedPath, "-o", folder, "--rank", "2"]
        try #require(Workspace.run(whole).status == 0)
        try #require(Workspace.run(["adapter", folder, "-o", workspace.outputPath] + options).status == 0)
      }
      let adapter = try AdapterFolder(workspace.outputPath)
      #expect(adapter.report.modules.map(\.module) == [ExpertPair.block + ".experts.1.up_proj"])
      #expect(adapter.adapted.count == 9)
      for module in adapter.adapted {
        let (a, b) = try #require(adapter.factors(module))
        #expect(a.shape[0] == 2)
        #expect((a.values + b.values).allSatisfy { $0 == 0 } == !module.hasSuffix("experts.1.up_proj"))
      }
    }

    @Test("a stack of one expert is no router, and comes back")
    func oneExpert() throws {
      var pair = ExpertPair.stacked()
      for name in pair.models.base.tensors.map(\.name) where name.contains("experts") {
        pair.models.base[name] = pair.models.base[name].firstMatrix
        pair.models.tuned[name] = pair.models.tuned[name].firstMatrix
      }
      let workspace = try Workspace(pair.models)
      let adapter = try workspace.adapter(["--rank", "2"])
      #expect(adapter.report.modules.contains { $0.module == ExpertPair.down + "[0]" })
      let verified = try Workspace.run(
        ["verify", workspace.basePath, workspace.tunedPath, workspace.outputPath, "--max-loss", "1e-3"])
      #expect(verified.status == 0, "\(verified.errorOutput)")
    }

    @Test("what does not go with experts is refused by name")
    func refusals() throws {
      let pair = ExpertPair.stacked()
      try Workspace(pair.models).expectRefusal(
        "parameter '\(ExpertPair.down)': PEFT knows no bias in an adapter of fused experts; leave out --bias, or the experts "
          + "with --exclude", status: 64, ["--bias"])
      var damaged = pair
      damaged.models.tuned.set(ExpertPair.down, at: 30 + 7, to: .nan)
      try Workspace(damaged.models).expectRefusal(
        "{tuned}/model.safetensors: tensor '\(ExpertPair.down)[1]' is nan at [1, 2]; a checkpoint with such weights cannot be "
          + "decomposed")
      var fewer = pair
      let old = fewer.models.tuned[ExpertPair.down]
      fewer.models.tuned[ExpertPair.down] = FixtureTensor(
        old.name, shape: [2, 6, 5], Array(old.values[..<60]))
      try Workspace(fewer.models).expectRefusal(
        "tensor '\(ExpertPair.down)' is [3, 6, 5] in the base model and [2, 6, 5] in the fine-tuned one; leave it out with "
          + "--exclude, or give the base model that was fine-tuned")
      var strange = pair
      for side in [\ModelPair.base, \ModelPair.tuned] {
        let stack = strange.models[keyPath: side][ExpertPair.down]
        strange.models[keyPath: side].tensors.append(
          FixtureTensor(ExpertPair.block + ".experts.mixing", shape: stack.shape, stack.values))
      }
      try Workspace(strange.models).expectRefusal(
        "parameter '\(ExpertPair.block).experts.mixing': PEFT wraps it together with '\(ExpertPair.down)', "
          + "'\(ExpertPair.gateUp)', in an order that is not known here; leave it out with --exclude",
        status: 64)
      let some = try Workspace(ExpertPair.modules().models)
      let start = try Workspace.run(
        [
          "init", some.basePath, "--as", "pissa", "--rank", "2", "--targets", "up_proj", "-o",
          some.outputPath,
        ])
      #expect(start.status != 0)
      #expect(
        start.errorOutput.contains(
          "module '\(ExpertPair.block).experts.0.down_proj' is left out and others of its layer's experts are not"
        ))
    }
  }
}
