import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// Modules that several ranks share, and what a job may take of its machines.
  @Suite struct TeamTests {
    private static let tall = "model.layers.0.mlp.up_proj.weight"
    private static let wide = "model.layers.0.mlp.down_proj.weight"
    private static let short = "model.layers.0.self_attn.q_proj.weight"

    /// A tall and a wide module long enough to be shared, and some that no team can share.
    private static func pair() -> ModelPair {
      let shapes = [
        (tall, [4200, 40]), (wide, [36, 4100]), (short, [64, 48]),
        ("model.layers.1.mlp.up_proj.weight", [80, 64]),
      ]
      func tensors(_ seed: Int) -> [FixtureTensor] {
        shapes.map { name, shape in
          let values = (0..<shape[0] * shape[1]).map { index -> Double in
            let scattered = (index &* (7919 + seed)) % 2003
            return Double(scattered) / 2003 + Double(index % 7)
          }
          return FixtureTensor(name, shape: shape, values)
        }
      }
      return ModelPair(base: ModelFixture(tensors(0)), tuned: ModelFixture(tensors(2)))
    }

    /// As much memory as two ranks need that share the largest module, and one rank alone has not.
    private func tightMemory(_ workspace: Workspace) throws -> Int {
      let result = try workspace.plan(["--rank", "4", "--json", "--headers-only"])
      let survey = try JSONDecoder().decode(SurveyOfCosts.self, from: Data(result.output.utf8))
      let processBytes = 120 << 20
      let costs = survey.modules.map(\.cost)
      let largest = try #require(costs.max { $0.matrixBytes < $1.matrixBytes })
      return processBytes + largest.matrixBytes + largest.workspaceBytes
    }

    private struct SurveyOfCosts: Decodable {
      struct Module: Decodable { let cost: Cost }
      struct Cost: Decodable {
        let matrixBytes: Int
        let workspaceBytes: Int
      }
      let modules: [Module]
    }

    @Test("modules shared by ranks give the bytes of one rank alone")
    func sameBytes() throws {
      let workspace = try Workspace(Self.pair())
      let options = ["--rank", "4", "--method", "krylov"]
      let alone = try workspace.adapter(options, name: "alone")
      #expect(alone.report.modules.allSatisfy { $0.rankCount == 1 })
      let memory = try tightMemory(workspace)
      for ranks in 2...4 {
        let shared = try workspace.adapter(
          options + ["--memory-per-rank", "\(memory)"], ranks: ranks, name: "ranks-\(ranks)")
        #expect(shared.report.modules.contains { $0.rankCount == 2 }, "\(ranks) ranks")
        #expect(shared.report.ranks.contains { $0.exchangedBytes > 0 })
        for file in ["adapter_model.safetensors", "adapter_config.json", "README.md"] {
          #expect(try shared.bytes(file) == alone.bytes(file), "\(file) of \(ranks) ranks")
        }
      }
    }

    @Test("a head that only coordinates limits nobody: neither by its memory nor by its kernels")
    func head() throws {
      let workspace = try Workspace(Self.pair())
      let options = ["--rank", "4", "--method", "krylov"]
      let alone = try workspace.adapter(options, name: "alone")
      let command =
        [
          "extract", workspace.basePath, workspace.tunedPath, "-o", workspace.outputPath,
          "--head-coordinates",
        ]
        + options
      let script = """
        memory=\(try tightMemory(workspace))
        if [ "$OMPI_COMM_WORLD_RANK" = 0 ]; then memory=1M; export OPENBLAS_CORETYPE=Nehalem; fi
        exec "$0" "$@" --memory-per-rank $memory
        """
      let result = try MPIProgram(executable: "/bin/sh").run(
        ranks: 3, arguments: ["-c", script, BuiltProduct.path(of: "unbraid")] + command)
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect(!result.errorOutput.contains("different kernels"))
      let led = try AdapterFolder(workspace.outputPath)
      #expect(Set(led.report.ranks.map(\.kernels)).count == 2, "this processor has one kind of kernels only")
      #expect(led.report.modules.contains { $0.rankCount == 2 })
      let file = "adapter_model.safetensors"
      #expect(try led.bytes(file) == alone.bytes(file))
    }

    @Test("threads do not change the bytes")
    func threads() throws {
      let workspace = try Workspace(Self.pair())
      let one = try workspace.adapter(["--rank", "4", "--threads", "1"], name: "one")
      let three = try workspace.adapter(["--rank", "4", "--threads", "3"], name: "three")
      #expect(three.report.ranks[0].threadCount == 3)
      let file = "adapter_model.safetensors"
      #expect(try one.bytes(file) == three.bytes(file))
    }

    @Test("a module that no team can hold is refused with both numbers")
    func tooLittleMemory() throws {
      let workspace = try Workspace(Self.pair())
      let result = try workspace.extract(["--rank", "4", "--memory-per-rank", "100M"], ranks: 2)
      #expect(result.status == 64)
      let sentence = try #require(result.sentences.first)
      #expect(sentence.contains("needs") && sentence.contains("--memory-per-rank allows 105 MB"))
      #expect(result.errorOutput.components(separatedBy: "--memory-per-rank allows").count == 2)
      #expect(!FileManager.default.fileExists(atPath: workspace.outputPath))
    }

    @Test(
      "an infinity in one rank's share is named with its place in the tensor",
      arguments: [Self.tall, Self.wide])
    func notFinite(name: String) throws {
      var pair = Self.pair()
      let shape = pair.tuned[name].shape
      let (row, column) = (shape[0] - 2, shape[1] - 3)
      pair.tuned.set(name, at: row * shape[1] + column, to: .infinity)
      let workspace = try Workspace(pair)
      let memory = try tightMemory(workspace)
      let result = try workspace.extract(
        ["--rank", "4", "--method", "krylov", "--memory-per-rank", "\(memory)"], ranks: 2)
      #expect(result.status == 65)
      #expect(result.errorOutput.contains("'\(name)'") && result.errorOutput.contains("[\(row), \(column)]"))
    }

    @Test(
      "methods over all ranks find the exact singular values", arguments: ["exact", "scalapack"], [1, 2, 3])
    func collectiveMethods(method: String, ranks: Int) throws {
      var pair = Self.pair()
      pair.tuned[Self.short] = pair.base[Self.short]
      let workspace = try Workspace(pair)
      let gram = try workspace.adapter(["--rank", "4", "--method", "gram"], name: "gram")
      let other = try workspace.adapter(["--rank", "4", "--method", method], ranks: ranks, name: "other")
      for (found, expected) in zip(other.report.modules, gram.report.modules) {
        #expect(found.module == expected.module && found.rank == expected.rank)
        #expect(found.method == method && found.rankCount == ranks)
        // Single precision's rounding, and a margin: both methods work on the same floats.
        for (a, b) in zip(found.singularValues, expected.singularValues) { #expect(abs(a / b - 1) < 1e-5) }
        #expect(abs(found.writtenResidual - expected.writtenResidual) <= 1e-5 * expected.norm)
      }
    }

    @Test(
      "resources that mean nothing are refused",
      arguments: [["--threads", "0"], ["--memory-per-rank", "much"], ["--memory-per-rank", "-1G"]])
    func nonsense(options: [String]) throws {
      #expect(try Workspace(Self.pair()).extract(options).status == 64)
    }
  }
}
