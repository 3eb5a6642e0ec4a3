import Checkpoints
import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  @Suite struct VerifyTests {
    @Test(
      "the figures are those of extract's report to the last bit, for any number of ranks",
      arguments: [nil, 3])
    func reportedFigures(ranks: Int?) throws {
      let workspace = try Workspace(.small(.bf16))
      let adapter = try workspace.adapter(["--rank", "4", "--embeddings"])
      let found = try Self.verify(workspace, ranks: ranks)
      #expect(found.covered.map(\.name) == adapter.report.modules.map(\.module))
      for (record, reported) in zip(found.covered, adapter.report.modules) {
        #expect(record.norm == reported.norm && record.residual == reported.writtenResidual)
        #expect(record.rank == 4 && record.loss == record.residual / record.norm)
      }
      let left = adapter.report.leftOut.filter { ($0.difference?.energy ?? 0) > 0 }
      #expect(Set(found.uncovered.map(\.tensor)) == Set(left.map(\.tensor)))
      #expect(found.uncovered.map(\.norm) == found.uncovered.map(\.norm).sorted(by: >))
      let all = left.reduce(0) { $0 + ($1.difference?.energy ?? 0) }
      let whole = all + adapter.report.modules.reduce(0) { $0 + $1.norm * $1.norm }
      #expect(abs(found.uncoveredShare - all / whole) < 1e-12)
    }

    @Test("ranks that share a tensor find what one finds alone, to the last bit", arguments: [2, 4])
    func teams(ranks: Int) throws {
      let shapes = [("mlp.up_proj", 4200, 40), ("mlp.down_proj", 36, 4100), ("self_attn.q_proj", 64, 48)]
      var adapter = LoRAFixture()
      func tensors(_ seed: UInt64) -> [FixtureTensor] {
        var random = SplitMix64(state: seed)
        return shapes.map { name, rows, columns in
          let values = (0..<rows * columns).map { _ in random.nextUniform() }
          return FixtureTensor("model.layers.0.\(name).weight", shape: [rows, columns], values)
        }
      }
      let workspace = try Workspace(
        ModelPair(base: ModelFixture(tensors(1)), tuned: ModelFixture(tensors(2))))
      for (name, rows, columns) in shapes {
        adapter.add("model.layers.0.\(name)", out: rows, in: columns, rank: 4)
      }
      try adapter.write(to: workspace.outputPath)
      let alone = try Self.verify(workspace)
      // What two ranks need that share the largest tensor, and one alone has not: the process, the tensor once, what is
      // done with its factors.
      let memory = (120 << 20) + 4200 * 40 * 4 + (24 << 20) + 4 * (4200 + 40) * 16
      let shared = try Self.verify(workspace, ranks: ranks, ["--memory-per-rank", "\(memory)"])
      #expect(shared.ranks.contains { $0.exchangedBytes > 0 })
      #expect(shared.covered == alone.covered)
      let refused = try Workspace.run(
        [
          "verify", workspace.basePath, workspace.tunedPath, workspace.outputPath, "--memory-per-rank",
          "\(memory)",
        ])
      #expect(refused.status == 64)
      #expect(refused.errorOutput.contains("_proj' needs 153 MB a rank when 1 rank works on it, "))
      #expect(refused.errorOutput.contains("; start more ranks, allow more memory"))
    }

    @Test("memory that is too little is said once, by one of the ranks")
    func tooLittleMemory() throws {
      let workspace = try Workspace()
      #expect(try workspace.extract(["--rank", "4"]).status == 0)
      let result = try Workspace.run(
        [
          "verify", workspace.basePath, workspace.tunedPath, workspace.outputPath, "--memory-per-rank", "1M",
        ], ranks: 2)
      #expect(result.status == 64)
      #expect(result.errorOutput.components(separatedBy: "--memory-per-rank allows").count == 2)
    }

    @Test("an update beyond single precision is an error with the module's name")
    func overflow() throws {
      let workspace = try Workspace()
      var adapter = LoRAFixture()
      adapter.add("\(Name.up).lora_A.weight", [4, 32], Array(repeating: 1e25, count: 128))
      adapter.add("\(Name.up).lora_B.weight", [48, 4], Array(repeating: 1e25, count: 192))
      try adapter.write(to: workspace.outputPath)
      let result = try Workspace.run(
        ["verify", workspace.basePath, workspace.tunedPath, workspace.outputPath])
      #expect(result.status == 65)
      #expect(result.errorOutput.hasPrefix("unbraid: module '\(Name.up)': the adapter's update, "))
    }

    @Test("tensors stored whole and biases leave nothing; other scales and patterns count")
    func otherTensors() throws {
      let workspace = try Workspace()
      let adapter = try workspace.adapter(["--rank", "4", "--save-norms", "--bias"])
      let found = try Self.verify(workspace)
      for record in found.covered where record.rank == nil { #expect(record.residual == 0, "\(record.name)") }
      #expect(found.covered.contains { $0.name == Name.norm + ".weight" })
      #expect(found.covered.contains { $0.name == Name.query + ".bias" })
      // The same factors at half the scale leave more.
      let path = workspace.outputPath + "/adapter_config.json"
      let text = try adapter.text("adapter_config.json").replacing(
        "\"lora_alpha\" : 4", with: "\"lora_alpha\" : 2")
      try Data(text.utf8).write(to: URL(filePath: path))
      let halved = try Self.verify(workspace)
      for (new, old) in zip(halved.covered, found.covered) where new.rank != nil {
        let captured = old.norm * old.norm - old.residual * old.residual
        let expected = (old.residual * old.residual + captured / 4).squareRoot()
        #expect(abs(new.residual / expected - 1) < 1e-5, "\(new.name)")
      }
    }

    @Test("a loss above the limit ends with 1 and names the worst module, one below with 0")
    func limit() throws {
      let workspace = try Workspace()
      _ = try workspace.adapter(["--rank", "4"])
      let losses = try Self.verify(workspace).covered.map { ($0.loss, $0.name) }
      let worst = try #require(losses.max { $0 < $1 })
      let command = ["verify", workspace.basePath, workspace.tunedPath, workspace.outputPath, "--max-loss"]
      let above = try Workspace.run(command + ["\(worst.0 * 0.9999)"])
      #expect(above.status == 1)
      #expect(above.errorOutput.contains("most of all '\(worst.1)' with"))
      #expect(above.output.contains("4 tensors covered, loss "))
      let below = try Workspace.run(command + ["\(worst.0)"])
      #expect(below.status == 0 && below.errorOutput.isEmpty)
    }

    @Test("a tied head's factors are held against the table, which they do not cover as an embedding")
    func tiedHead() throws {
      var pair = ModelPair.small()
      for name in [\ModelPair.base, \ModelPair.tuned] {
        pair[keyPath: name].remove("lm_head.weight")
        pair[keyPath: name].configuration = pair.base.configuration?
          .replacing("embeddings\":false", with: "embeddings\":true")
      }
      let workspace = try Workspace(pair)
      let adapter = try workspace.adapter(["--rank", "4", "--head"])
      let found = try Self.verify(workspace)
      let head = found.covered.first { $0.name == "lm_head" }
      #expect(head?.residual == adapter["lm_head"].writtenResidual)
      #expect(found.uncovered.contains { $0.tensor == Name.embedding + ".weight" })
    }

    @Test("an adapter of another model is refused")
    func otherModel() throws {
      let workspace = try Workspace()
      var adapter = LoRAFixture()
      adapter.add("model.layers.7.mlp.up_proj", out: 48, in: 32, rank: 4)
      try adapter.write(to: workspace.folder.file("other"))
      let result = try Workspace.run([
        "verify", workspace.basePath, workspace.tunedPath, workspace.folder.file("other"),
      ])
      #expect(result.status == 65)
      #expect(result.errorOutput.contains("adapts module 'model.layers.7.mlp.up_proj', which "))
    }

    @Test("a change of bias where the layer has none is refused, as by merge; zeros are none")
    func noBias() throws {
      let workspace = try Workspace()
      func result(_ value: Double) throws -> ProcessResult {
        var adapter = LoRAFixture()
        adapter.add(Name.up, out: 48, in: 32, rank: 4)
        adapter.add("\(Name.up).lora_B.bias", [48], Array(repeating: value, count: 48))
        let path = workspace.folder.file("of-\(value)")
        try adapter.write(to: path)
        return try Workspace.run(["verify", workspace.basePath, workspace.tunedPath, path])
      }
      let refused = try result(1)
      #expect(refused.status == 65)
      #expect(refused.errorOutput.contains("changes the bias of module '\(Name.up)', which has none"))
      #expect(try result(0).status == 0)
    }

    /// The part of the report that the tests check.
    private struct Report: Decodable {
      let covered: [Covered]
      let uncovered: [Uncovered]
      let uncoveredShare: Double
      let ranks: [Rank]

      struct Covered: Decodable, Equatable {
        let name: String
        let rank: Int?
        let norm: Double
        let residual: Double
        let loss: Double
      }

      struct Uncovered: Decodable {
        let tensor: String
        let norm: Double
      }

      struct Rank: Decodable {
        let exchangedBytes: Int
      }
    }

    private static func verify(_ workspace: Workspace, ranks: Int? = nil, _ options: [String] = []) throws
      -> Report
    {
      let result = try Workspace.run(
        ["verify", workspace.basePath, workspace.tunedPath, workspace.outputPath, "--json"] + options,
        ranks: ranks)
      try #require(result.status == 0, "\(result.errorOutput)")
      return try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
    }
  }
}
