import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  @Suite struct PlanTests {
    /// The part of `plan --json` that the tests check.
    private struct Survey: Decodable {
      let modules: [Module]
      let leftOut: [AdapterFolder.Report.LeftOut]
      let notes: [String]
      let byteCount: Int
      let adapterByteCount: Int
      let memoryPerRank: Int
      let rankCount: Int
      let expectedSeconds: Double

      struct Module: Decodable {
        let module: String
        let role: String
        let shape: [Int]
        let rank: Int
        let cost: Cost
        let difference: AdapterFolder.Report.Difference?
      }

      struct Cost: Decodable {
        let method: String
        let operations: Double
        let byteCount: Int
      }
    }

    private func survey(_ workspace: Workspace, _ options: [String], ranks: Int? = nil) throws -> Survey {
      let result = try workspace.plan(options + ["--json"], ranks: ranks)
      try #require(result.status == 0, "\(result.errorOutput)")
      return try JSONDecoder().decode(Survey.self, from: Data(result.output.utf8))
    }

    @Test("JSON holds every module and every tensor left out with its change", arguments: [nil, 2])
    func json(ranks: Int?) throws {
      let pair = ModelPair.small()
      let workspace = try Workspace(pair)
      let survey = try survey(workspace, ["--rank", "20", "--head"], ranks: ranks)
      #expect(survey.modules.map(\.module).first == "lm_head")
      #expect(survey.modules.first?.role == "head")
      #expect(survey.modules.map(\.rank) == [16, 20, 16, 20, 16])
      #expect(survey.leftOut.count == 5)
      for record in survey.modules.map({ ($0.module + ".weight", $0.difference) })
        + survey.leftOut.map({ ($0.tensor, $0.difference) })
      {
        let truth = DeltaTruth(base: pair.base[record.0], tuned: pair.tuned[record.0])
        #expect(abs((record.1?.energy ?? 0) / truth.energy - 1) < 1e-6)
      }
      #expect(survey.notes.count == 1)
      #expect(survey.rankCount == ranks ?? 1)
      #expect(survey.byteCount == (pair.base.tensors + pair.tuned.tensors).reduce(0) { $0 + $1.bytes.count })
      let factorBytes = survey.modules.reduce(0) { $0 + ($1.shape[0] + $1.shape[1]) * $1.rank * 4 }
      #expect(survey.adapterByteCount == factorBytes)
      #expect(survey.expectedSeconds > 0 && survey.memoryPerRank > 0)
      #expect(survey.modules.allSatisfy { $0.cost.operations > 0 && $0.cost.byteCount > 0 })
      #expect(!FileManager.default.fileExists(atPath: workspace.outputPath))
    }

    @Test("the table shows modules, tensors left out, equal ones, notes, memory and time")
    func table() throws {
      var pair = ModelPair.small()
      pair.tuned[Name.norm + ".weight"] = pair.base[Name.norm + ".weight"]
      pair.tuned[Name.up + ".weight"] = pair.base[Name.up + ".weight"]
      let result = try Workspace(pair).plan(["--rank", "20"])
      #expect(result.status == 0)
      #expect(result.output.hasPrefix("To decompose: 4 modules\nmodule "))
      #expect(result.output.contains("\n5 tensors changed, but left out\ntensor "))
      #expect(result.output.contains("\n1 tensors left out are equal in both models\n"))
      let lines = result.outputLines
      #expect(
        lines.contains { $0.hasPrefix(Name.query + " ") && $0.contains(" 24×16 ") && $0.contains(" gram ") })
      #expect(lines.contains { $0.hasPrefix(Name.up + " ") && $0.contains(" equal") })
      #expect(lines.contains { $0.hasPrefix("lm_head.weight ") && $0.contains("head; --head takes it in") })
      #expect(lines.contains { $0.hasPrefix("note: rank 20 exceeds the shorter side of 2 of 4 modules ") })
      #expect(lines.contains { $0.hasPrefix("memory a rank: ") })
      #expect(lines.last?.hasPrefix("expected on 1 rank: ") == true)
    }

    @Test("headers alone tell the plan without reading a weight")
    func headersOnly() throws {
      var pair = ModelPair.small()
      for name in [Name.up, Name.norm] { pair.tuned.set(name + ".weight", at: 0, to: .nan) }
      let workspace = try Workspace(pair)
      let survey = try survey(workspace, ["--rank", "4", "--headers-only"])
      #expect(survey.modules.count == 4)
      #expect(survey.leftOut.count == 6)
      #expect(survey.modules.allSatisfy { $0.difference == nil })
      #expect(survey.leftOut.allSatisfy { $0.difference == nil })
    }

    @Test("without --headers-only a NaN is found")
    func notFinite() throws {
      var pair = ModelPair.small()
      pair.base.set(Name.norm + ".weight", at: 4, to: .nan)
      let workspace = try Workspace(pair)
      let result = try workspace.plan()
      #expect(result.status == 65)
      #expect(result.output.isEmpty)
      #expect(
        result.errorOutput
          == workspace.filled(
            "unbraid: {base}/model.safetensors: tensor '\(Name.norm).weight' is nan at [4]; "
              + "a checkpoint with such weights cannot be decomposed\n"))
    }

    @Test("identical models are a plan with nothing to do")
    func identical() throws {
      var pair = ModelPair.small()
      pair.tuned = pair.base
      let result = try Workspace(pair).plan(["--rank", "4"])
      #expect(result.status == 0)
      #expect(result.output.contains("\n6 tensors left out are equal in both models\n"))
    }

    @Test("several ranks print one table")
    func underMPI() throws {
      let result = try Workspace().plan(["--rank", "4"], ranks: 2)
      #expect(result.status == 0)
      #expect(result.output.ranges(of: "To decompose: 4 modules").count == 1)
      #expect(result.outputLines.last?.hasPrefix("expected on 2 ranks: ") == true)
    }
  }
}
