import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// A head that shares the embedding's table, seen by `merge`, `verify` and `extract`, as PEFT sees it.
  @Suite struct TiedHeadTests {
    private static let table = Name.embedding + ".weight"
    private static let head = "lm_head.weight"

    /// A pair of models without heads of their own; each says that its head is tied, or nothing at all.
    private func tied(saysSo: Bool = true) -> ModelPair {
      var pair = ModelPair.small()
      for side in [\ModelPair.base, \ModelPair.tuned] {
        pair[keyPath: side].remove(Self.head)
        pair[keyPath: side].configuration = pair.base.configuration?.replacing(
          ",\"tie_word_embeddings\":false", with: saysSo ? ",\"tie_word_embeddings\":true" : "")
      }
      return pair
    }

    /// Factors of the head, or of the table as PEFT names them.
    private func factors(ofHead: Bool) -> LoRAFixture {
      var adapter = LoRAFixture()
      adapter.fields = ["r": "2", "lora_alpha": "2"]
      guard !ofHead else {
        adapter.add("lm_head", out: 40, in: 16, rank: 2)
        return adapter
      }
      adapter.add("\(Name.embedding).lora_embedding_A", [2, 40], (0..<80).map { Double($0 % 5) })
      adapter.add("\(Name.embedding).lora_embedding_B", [16, 2], (0..<32).map { Double($0 % 3) })
      return adapter
    }

    private func verify(_ workspace: Workspace, _ adapter: String) throws -> Report {
      let result = try Workspace.run(["verify", workspace.basePath, workspace.tunedPath, adapter, "--json"])
      try #require(result.status == 0, "\(result.errorOutput)")
      return try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
    }

    private struct Report: Decodable {
      let covered: [Covered]
      let uncovered: [Uncovered]
      let notes: [String]

      struct Covered: Decodable {
        let name: String
        let loss: Double
      }

      struct Uncovered: Decodable {
        let tensor: String
        let norm: Double
      }
    }

    @Test(
      "a configuration that says nothing ties a head that is not stored; the merged model's says that it is not"
    )
    func silent() throws {
      let workspace = try Workspace(tied(saysSo: false))
      let adapter = workspace.folder.file("adapter")
      try factors(ofHead: false).write(to: adapter)
      let result = try Workspace.run(["merge", workspace.basePath, adapter, "-o", workspace.outputPath])
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect(result.errorOutput.contains("note: the head was tied to the input embedding"))
      let (old, merged) = (ModelPair.small().base, try modelTensors(workspace.outputPath))
      #expect(merged[Self.head]?.bytes == old[Self.table].bytes)
      #expect(merged[Self.table]?.bytes != old[Self.table].bytes)
      let text = try String(contentsOfFile: workspace.outputPath + "/config.json", encoding: .utf8)
      #expect(text.contains("\"tie_word_embeddings\": false") && text.contains("\"model_type\":\"llama\""))
    }

    @Test("PEFT's wish to keep the head tied counts for nothing without tensors of the head")
    func wishAlone() throws {
      let workspace = try Workspace(tied())
      var adapter = factors(ofHead: false)
      adapter.fields["ensure_weight_tying"] = "true"
      try adapter.write(to: workspace.folder.file("adapter"))
      let result = try Workspace.run([
        "merge", workspace.basePath, workspace.folder.file("adapter"), "-o", workspace.outputPath,
      ])
      try #require(result.status == 0, "\(result.errorOutput)")
      let (old, merged) = (ModelPair.small().base, try modelTensors(workspace.outputPath))
      #expect(merged[Self.head]?.bytes == old[Self.table].bytes)
    }

    @Test(
      "a merged model is the base and the adapter, whether that is of the head, of the table or a whole head",
      arguments: ["head", "table", "whole head"])
    func merged(kind: String) throws {
      var pair = tied()
      let workspace = try Workspace(pair)
      let path = workspace.folder.file("adapter")
      var adapter = factors(ofHead: kind == "head")
      if kind == "whole head" {
        adapter = LoRAFixture()
        adapter.add(Name.up, out: 48, in: 32, rank: 4)
        adapter.add(Self.head, [40, 16], (0..<640).map { Double($0 % 7) })
        adapter.fields["modules_to_save"] = "[\"lm_head\"]"
      }
      try adapter.write(to: path)
      let made = try Workspace.run(["merge", workspace.basePath, path, "-o", workspace.outputPath])
      try #require(made.status == 0, "\(made.errorOutput)")
      let tensors = try modelTensors(workspace.outputPath)
      pair.tuned.tensors = tensors.values.sorted { $0.name < $1.name }
      try FileManager.default.removeItem(atPath: workspace.tunedPath)
      try pair.tuned.write(to: workspace.tunedPath)
      let found = try verify(workspace, path)
      #expect(found.covered.allSatisfy { $0.loss < 1e-6 }, "\(found.covered)")
      #expect(found.uncovered.isEmpty && found.notes.isEmpty, "\(found.uncovered) \(found.notes)")
    }

    @Test("factors of the table alone leave the head of a tied fine-tune as it was, and extract says so")
    func tableAlone() throws {
      let workspace = try Workspace(tied())
      let adapter = try workspace.adapter(["--rank", "4", "--embeddings"])
      #expect(adapter.report.notes.contains { $0.contains("does not follow the embedding's factors") })
      let found = try verify(workspace, workspace.outputPath)
      let truth = DeltaTruth(base: tied().base[Self.table], tuned: tied().tuned[Self.table])
      let head = try #require(found.uncovered.first { $0.tensor == Self.head })
      #expect(abs(head.norm / truth.energy.squareRoot() - 1) < 1e-6)
      #expect(found.covered.contains { $0.name == Name.embedding })
      // An adapter of neither leaves one tensor out, not two.
      _ = try workspace.adapter(["--rank", "4"], name: "linear")
      let linear = try verify(workspace, workspace.folder.file("linear")).uncovered.map(\.tensor)
      #expect(linear.contains(Self.table) && !linear.contains(Self.head))
    }

    @Test("--head says which model has none of its own")
    func headInOne() throws {
      var pair = tied()
      pair.tuned = ModelPair.small().tuned
      let workspace = try Workspace(pair)
      let result = try workspace.extract(["--head"])
      #expect(result.status == 64)
      #expect(
        result.sentences == [
          "unbraid: \(workspace.tunedPath): --head was given, but only this model stores 'lm_head.weight' and the other "
            + "one has the embedding for its head; leave out --head, or give the other one a head of its own"
        ])
    }
  }
}
