import Checkpoints
import Foundation
import Glibc
import TestSupport
import Testing

extension TroubleSuite {
  /// Folders of decompositions that are not as they were made.
  @Suite struct DecompositionDamageTests {
    private static let shard = "decomposition-00001-of-00001.safetensors"

    private func decomposed() throws -> Workspace {
      let workspace = try Workspace()
      try #require(try workspace.decompose(["--rank", "3"]).status == 0)
      return workspace
    }

    /// Expects a refusal with 65 and no output.
    private func expectRefusal(
      _ workspace: Workspace, _ sentence: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let result = try workspace.adapterOfDecomposition()
      #expect(result.status == 65, "\(result.errorOutput)", sourceLocation: sourceLocation)
      #expect(result.errorOutput.contains(sentence), "\(result.errorOutput)", sourceLocation: sourceLocation)
      #expect(access(workspace.outputPath, F_OK) != 0, sourceLocation: sourceLocation)
    }

    private func rewriteRecord(_ workspace: Workspace, _ change: (String) -> String) throws {
      let url = URL(filePath: workspace.decompositionPath + "/decomposition.json")
      try Data(change(String(contentsOf: url, encoding: .utf8)).utf8).write(to: url)
    }

    private func rewriteTensors(_ workspace: Workspace, _ change: (inout [String: FixtureTensor]) -> Void)
      throws
    {
      let path = workspace.decompositionPath + "/" + Self.shard
      var tensors = try RawSafetensors.read(path)
      change(&tensors)
      let sorted = tensors.values.sorted { $0.name < $1.name }
      try Data(RawSafetensors.file(sorted)).write(to: URL(filePath: path))
    }

    @Test("a folder without a record, or with another's, is none")
    func record() throws {
      let workspace = try decomposed()
      try rewriteRecord(workspace) {
        $0.replacing("unbraid decomposition 1", with: "unbraid decomposition 9")
      }
      try expectRefusal(workspace, "has the format 'unbraid decomposition 9'")
      try rewriteRecord(workspace) { String($0.dropLast(40)) }
      try expectRefusal(workspace, "decomposition.json: is no record of a decomposition")
      try FileManager.default.removeItem(atPath: workspace.decompositionPath + "/decomposition.json")
      try expectRefusal(
        workspace, "holds no decomposition.json; give a folder that 'unbraid decompose' has made")
      let model = try Workspace.run(["adapter", workspace.basePath, "-o", workspace.outputPath])
      #expect(model.status == 65 && model.errorOutput.contains("holds no decomposition.json"))
    }

    @Test(
      "a record whose numbers are no decomposition's is none",
      arguments: [
        (#""shape" : [\n        24,\n        16"#, #""shape" : [\n        24"#),
        (#""rank" : 3"#, #""rank" : -1"#), (#""rank" : 3"#, #""rank" : 99"#),
        (#""module" : "model.layers.1.self_attn.q_proj""#, #""module" : "model.layers.0.self_attn.q_proj""#),
      ])
    func unsoundRecord(old: String, new: String) throws {
      let workspace = try decomposed()
      try rewriteRecord(workspace) { text in
        let (old, new) = (old.replacing(#"\n"#, with: "\n"), new.replacing(#"\n"#, with: "\n"))
        #expect(text.contains(old), "\(text.prefix(2000))")
        return text.replacing(old, with: new, maxReplacements: 1)
      }
      try expectRefusal(workspace, "decomposition.json: is no record of a decomposition")
    }

    @Test("a tensor that is missing, or has another shape, type or unsound values, is named")
    func tensors() throws {
      let name = Name.query
      let cases: [(String, (inout [String: FixtureTensor]) -> Void)] = [
        ("tensor 'other' is in the shard", { $0[name + ".U"] = FixtureTensor("other", shape: [0], []) }),
        (
          "tensor '\(name).Vh' has shape [2, 24]",
          {
            $0[name + ".Vh"] = FixtureTensor(name + ".Vh", shape: [2, 24], [Double](repeating: 1, count: 48))
          }
        ),
        (
          "tensor '\(name).S' has another type",
          { $0[name + ".S"] = FixtureTensor(name + ".S", shape: [3], [3, 2, 1]) }
        ),
        (
          "holds values that are not positive and descending",
          { $0[name + ".S"] = FixtureTensor(name + ".S", .f64, shape: [3], [3, 4, 1]) }
        ),
        (
          "holds values that are not positive and descending",
          { $0[name + ".S"] = FixtureTensor(name + ".S", .f64, shape: [3], [.nan, 4, 1]) }
        ),
        (
          "'\(name).U' holds entries that are no finite numbers; make the folder again",
          {
            $0[name + ".U"] = FixtureTensor(
              name + ".U", shape: [24, 3], [Double](repeating: .nan, count: 72))
          }
        ),
        (
          "'\(name).Vh' holds entries that are no finite numbers; make the folder again",
          {
            $0[name + ".Vh"] = FixtureTensor(
              name + ".Vh", shape: [3, 16], [.infinity] + [Double](repeating: 0, count: 47))
          }
        ),
      ]
      for (sentence, change) in cases {
        let workspace = try decomposed()
        try rewriteTensors(workspace, change)
        try expectRefusal(workspace, sentence)
      }
    }

    @Test("a file that is cut short, or gone, is named")
    func files() throws {
      let workspace = try decomposed()
      let path = workspace.decompositionPath + "/" + Self.shard
      truncate(path, 4000)
      try expectRefusal(workspace, "\(path): ")
      try FileManager.default.removeItem(atPath: path)
      try expectRefusal(workspace, "names the shard '\(Self.shard)'")
    }
  }
}
