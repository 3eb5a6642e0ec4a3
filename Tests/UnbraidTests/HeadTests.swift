import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// A rank 0 that only gathers and writes.
  @Suite struct HeadTests {
    @Test("the others do all units, and the bytes are the same")
    func sameBytes() throws {
      let workspace = try Workspace(.small(layers: 4))
      let alone = try workspace.adapter(["--rank", "4"], name: "alone")
      let led = try workspace.adapter(["--rank", "4", "--head-coordinates"], ranks: 3, name: "led")
      #expect(led.report.ranks[0].unitCount == 0)
      #expect(led.report.ranks.dropFirst().allSatisfy { $0.unitCount > 0 })
      for file in ["adapter_model.safetensors", "adapter_config.json", "README.md"] {
        #expect(try led.bytes(file) == alone.bytes(file), "\(file)")
      }
    }

    @Test("one rank has nobody to lead", arguments: [nil, 1])
    func nobodyElse(ranks: Int?) throws {
      let workspace = try Workspace()
      let result = try workspace.extract(["--head-coordinates"], ranks: ranks)
      #expect(result.status == 64)
      #expect(
        result.sentences == [
          "unbraid: --head-coordinates leaves the work to the other ranks, and this job has 1 rank; start 2 or more"
        ])
      #expect(!FileManager.default.fileExists(atPath: workspace.outputPath))
    }

    @Test("methods over all ranks cannot leave one out", arguments: ["exact", "scalapack"])
    func collective(method: String) throws {
      let result = try Workspace().extract(["--head-coordinates", "--method", method], ranks: 2)
      #expect(result.status == 64)
      #expect(
        result.errorOutput.contains("--head-coordinates leaves rank 0 out, and --method \(method) takes"))
    }
  }
}
