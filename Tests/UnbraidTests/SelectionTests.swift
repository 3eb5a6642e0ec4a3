import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  @Suite struct SelectionTests {
    @Test(
      "targets, patterns and flags select exactly these modules",
      arguments: [
        ([], [Name.up, "\(Name.other).mlp.up_proj", Name.query, "\(Name.other).self_attn.q_proj"]),
        (["--targets", "q_proj"], [Name.query, "\(Name.other).self_attn.q_proj"]),
        (["--targets", "up_proj, q_proj", "--exclude", #"\.1\."#], [Name.up, Name.query]),
        (["--targets", "mlp.up_proj", "--include", "layers.0"], [Name.up]),
        (["--include", "^model.layers.1.*up"], ["\(Name.other).mlp.up_proj"]),
        (["--include", "0.mlp", "--include", "1.self"], [Name.up, "\(Name.other).self_attn.q_proj"]),
        (["--exclude", "mlp", "--exclude", "layers.1"], [Name.query]),
        (["--include", "0.mlp", "--head"], [Name.up, "lm_head"]),
        (["--include", "0.mlp", "--embeddings"], [Name.up, Name.embedding]),
        (["--targets", "lm_head"], ["lm_head"]),
        (["--targets", "embed_tokens"], [Name.embedding]),
      ])
    func selection(options: [String], expected: [String]) throws {
      let adapter = try Workspace().adapter(options + ["--rank", "2"])
      #expect(adapter.adapted == expected.sorted())
      #expect(adapter.report.modules.map(\.module) == expected.sorted())
      for option in options where option.hasPrefix("--") {
        #expect(try adapter.text("README.md").contains("| `\(option)` |"))
      }
    }

    @Test(
      "a fraction gives each module its share of the shorter side, one at least", arguments: [0.25, 0.01, 1])
    func fraction(_ fraction: Double) throws {
      let adapter = try Workspace().adapter(["--rank-fraction", "\(fraction)"])
      for record in adapter.report.modules {
        let short = Double(record.shape.min() ?? 0)
        #expect(record.requestedRank == max(1, Int((fraction * short).rounded())))
        #expect(record.rank == record.requestedRank)
        #expect(adapter.factors(record.module)?.a.shape[0] == record.rank)
      }
    }

    @Test("a tied head is decomposed from the embedding, and said so")
    func tiedHead() throws {
      var pair = ModelPair.small()
      pair.base.remove("lm_head.weight")
      pair.tuned.remove("lm_head.weight")
      pair.tuned.configuration = #"{"architectures":["LlamaForCausalLM"],"tie_word_embeddings":true}"#
      let workspace = try Workspace(pair)
      let adapter = try workspace.adapter(["--rank", "4", "--head"])
      let (a, b) = try #require(adapter.factors("lm_head"))
      let name = Name.embedding + ".weight"
      let truth = DeltaTruth(base: pair.base[name], tuned: pair.tuned[name])
      let residual = truth.residualEnergy(a: a, b: b).squareRoot()
      #expect(abs(adapter["lm_head"].writtenResidual / residual - 1) < 1e-4)
      #expect(adapter.report.notes.count == 1)
      #expect(
        adapter.report.notes.first?.hasPrefix("the head is tied to the input embedding; its factors") == true)
    }

    @Test("GPT-2's transposed layers get factors in the layer's own orientation")
    func conv1D() throws {
      let name = "h.0.attn.c_attn"
      var random = SplitMix64(state: 3)
      func model() -> ModelFixture {
        let values = (0..<12 * 36).map { _ in random.nextUniform() }
        return ModelFixture(
          [FixtureTensor(name + ".weight", shape: [12, 36], values)],
          configuration: #"{"architectures":["GPT2LMHeadModel"],"model_type":"gpt2"}"#)
      }
      let pair = ModelPair(base: model(), tuned: model())
      let adapter = try Workspace(pair).adapter(["--rank", "3"])
      #expect(adapter.adapted == ["transformer.\(name)"])
      let (a, b) = try #require(adapter.factors("transformer.\(name)"))
      #expect(a.shape == [3, 12])
      #expect(b.shape == [36, 3])
      let truth = DeltaTruth(base: pair.base[name + ".weight"], tuned: pair.tuned[name + ".weight"])
      let residual = truth.residualEnergy(a: a, b: b, isTransposed: true).squareRoot()
      #expect(abs(adapter[name].writtenResidual / residual - 1) < 1e-4)
      #expect(try adapter.configuration()["fan_in_fan_out"] as? Bool == true)
    }

    @Test("tensors that one model alone has are named")
    func oneSided() throws {
      var pair = ModelPair.small()
      pair.base.tensors.append(FixtureTensor("model.old.weight", shape: [2, 2], [1, 2, 3, 4]))
      pair.tuned.tensors.append(FixtureTensor("model.new.weight", shape: [3], [1, 2, 3]))
      let workspace = try Workspace(pair)
      let notes = [
        "'model.old.weight' [2, 2] is in the base model only",
        "'model.new.weight' [3] is in the fine-tuned model only; no adapter of this base can hold it",
      ]
      let adapter = try workspace.adapter(["--rank", "4"])
      #expect(adapter.report.notes == notes)
      let plan = try workspace.plan(["--rank", "4"])
      for note in notes {
        #expect(plan.output.contains("note: \(note)\n"))
        #expect(try adapter.text("README.md").contains("- \(note)\n"))
      }
    }
  }
}
