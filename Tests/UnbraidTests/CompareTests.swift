import Checkpoints
import Foundation
import Glibc
import TestSupport
import Testing

extension UnbraidSuite {
  @Suite struct CompareTests {
    private struct Record: Decodable {
      let modules: [Module]

      struct Module: Decodable {
        let module: String
        let update: Update
        let intruders: Intruders?
      }

      struct Update: Decodable {
        let verdict: String
        let rank: Int
      }

      struct Intruders: Decodable {
        let directions: [Direction]
      }

      struct Direction: Decodable {
        let largestCosine: Double
      }

      subscript(_ name: String) -> Module? { modules.first { $0.module == name } }
    }

    private func compare(
      _ workspace: Workspace, _ options: [String] = [], ranks: Int? = nil, output: String? = nil
    )
      throws -> ProcessResult
    {
      try Workspace.run(
        ["compare", workspace.basePath, workspace.tunedPath, "-o", output ?? workspace.outputPath] + options,
        ranks: ranks)
    }

    private func record(_ path: String) throws -> Record {
      try JSONDecoder().decode(
        Record.self, from: FileManager.default.contents(atPath: path + "/comparison.json") ?? Data())
    }

    @Test("every module has its rank and its directions, the same on any number of ranks")
    func modules() throws {
      var pair = ModelPair.small(layers: 4)
      pair.setChange(of: Name.up + ".weight", rank: 3)
      let same = "model.layers.2.self_attn.q_proj.weight"
      pair.tuned[same] = pair.base[same]
      let workspace = try Workspace(pair)
      let result = try compare(workspace)
      try #require(result.status == 0, "\(result.errorOutput)")
      let found = try record(workspace.outputPath)
      #expect(found.modules.count == 8)
      #expect(found[Name.up]?.update.verdict == "exact" && found[Name.up]?.update.rank == 3)
      #expect(found["model.layers.2.self_attn.q_proj"]?.update.verdict == "unchanged")
      #expect(found["model.layers.2.self_attn.q_proj"]?.intruders == nil)
      #expect(found[Name.query]?.update.verdict == "at least" && found[Name.query]?.update.rank == 16)
      #expect(found[Name.query]?.intruders?.directions.count == 10)
      #expect(result.output.contains("rank 3 in 1 of 7 changed modules, "))
      for ranks in [2, 3] {
        let path = workspace.folder.file("ranks\(ranks)")
        try #require(try compare(workspace, ranks: ranks, output: path).status == 0)
        for name in ["comparison.json", "comparison.csv"] {
          #expect(
            FileManager.default.contents(atPath: path + "/" + name)
              == FileManager.default.contents(atPath: workspace.outputPath + "/" + name))
        }
      }
      let again = try compare(workspace)
      #expect(again.status == 0 && again.output.contains(": is complete already: rank 3 in 1 of 7"))
    }

    @Test("a killed job carries on and writes the same bytes")
    func resumes() throws {
      func tensors(_ seed: UInt64) -> [FixtureTensor] {
        var random = SplitMix64(state: seed)
        return (0..<40).map { layer in
          let values = (0..<200 * 180).map { _ in random.nextUniform() }
          return FixtureTensor("model.layers.\(layer).mlp.up_proj.weight", shape: [200, 180], values)
        }
      }
      let workspace = try Workspace(
        ModelPair(base: ModelFixture(tensors(1)), tuned: ModelFixture(tensors(2))))
      let whole = workspace.folder.file("whole")
      try #require(try compare(workspace, output: whole).status == 0)
      let running = try Workspace.start(
        ["compare", workspace.basePath, workspace.tunedPath, "-o", workspace.outputPath])
      let journal = workspace.outputPath + ".partial/journal/000001.safetensors"
      while kill(running.identifier, 0) == 0 && access(journal, F_OK) != 0 { usleep(200) }
      kill(running.identifier, SIGKILL)
      try #require(running.result().status == 128 + SIGKILL)
      try #require(access(workspace.outputPath, F_OK) != 0)

      let other = try compare(workspace, ["--directions", "5"])
      #expect(other.status == 65)
      #expect(other.errorOutput.contains("differs: --directions 10 there, 5 here; start that one again"))
      let result = try compare(workspace, ranks: 2)
      try #require(result.status == 0, "\(result.errorOutput)")
      let line = try #require(result.sentences.first { $0.hasPrefix("unbraid: carrying on: ") })
      #expect(line.hasSuffix(" of 40 modules were finished before"))
      let carried = try #require(Int(line.split(separator: " ")[3]))
      #expect(carried > 0 && carried < 40)
      for name in ["comparison.json", "comparison.csv"] {
        #expect(
          FileManager.default.contents(atPath: workspace.outputPath + "/" + name)
            == FileManager.default.contents(atPath: whole + "/" + name))
      }
    }

    @Test("inputs × outputs are turned before their outputs are compared")
    func transposed() throws {
      var pair = ModelPair.small()
      let configuration = "{\"architectures\":[\"GPT2LMHeadModel\"],\"model_type\":\"gpt2\"}"
      func turned(_ model: ModelFixture) -> ModelFixture {
        var model = model
        model.configuration = configuration
        for (index, tensor) in model.tensors.enumerated() where tensor.shape.count == 2 {
          let (rows, columns) = (tensor.shape[0], tensor.shape[1])
          let values = (0..<rows * columns).map { tensor.values[$0 % rows * columns + $0 / rows] }
          model.tensors[index] = FixtureTensor(tensor.name, shape: [columns, rows], values)
        }
        return model
      }
      let workspace = try Workspace(pair)
      try #require(try compare(workspace).status == 0)
      pair = ModelPair(base: turned(pair.base), tuned: turned(pair.tuned))
      let other = try Workspace(pair)
      try #require(try compare(other).status == 0)
      let (plain, conv) = (try record(workspace.outputPath), try record(other.outputPath))
      for (one, two) in zip(plain.modules, conv.modules) {
        let cosines = [one, two].map { $0.intruders?.directions.map(\.largestCosine) ?? [] }
        #expect(zip(cosines[0], cosines[1]).allSatisfy { abs($0 - $1) < 1e-9 } && cosines[0].count == 10)
      }
    }

    @Test(
      "what cannot be done is said in one sentence",
      arguments: [
        (["--directions", "0"], "Error: --directions is 0; give a number of 1 or more"),
        (["--epsilon", "1.5"], "Error: --epsilon is 1.5; give a cosine above 0 and at most 1, such as 0.5"),
        (
          ["--memory-per-rank", "1M"],
          "unbraid: module 'model.layers.0.mlp.up_proj' needs 126 MB on one rank, "
        ),
        (["--targets", "foo"], "unbraid: --targets 'foo' matches none of the 6 modules"),
      ])
    func refused(options: [String], sentence: String) throws {
      let workspace = try Workspace()
      let result = try compare(workspace, options)
      #expect(result.status == 64)
      #expect(result.errorOutput.contains(sentence), "\(result.errorOutput)")
    }
  }
}
