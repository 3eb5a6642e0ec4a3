import Foundation
import TestSupport
import Testing

extension TroubleSuite {
  /// What a sweep makes of pairs that are wrong, and how it carries on.
  @Suite struct SweepFailureTests {
    private static let pairs = """
      output: sweep
      pairs:
        - {name: gone, base: nowhere, tuned: tuned}
        - {name: nan, base: base, tuned: broken}
        - {name: good, base: base, tuned: tuned}
      ranks: [2, 4]

      """

    private func workspace() throws -> SweepWorkspace {
      let pair = ModelPair.small(layers: 8)
      let workspace = try SweepWorkspace(pair, plan: Self.pairs)
      var broken = pair.tuned
      broken.set(Name.up + ".weight", at: 5, to: .nan)
      try broken.write(to: workspace.folder.file("broken"))
      return workspace
    }

    @Test(
      "pairs that cannot be read mark their rows, the others are done, and the end says so",
      arguments: [1, 3])
    func isolation(ranks: Int) throws {
      let workspace = try workspace()
      let result = try workspace.run(ranks: ranks)
      #expect(result.status == 65)
      #expect(
        result.sentences.last?.contains("4 experiments failed (gone-r2, gone-r4, nan-r2, …); ") ?? false,
        "\(result.errorOutput)")
      #expect(try workspace.rows().map(\.status) == ["failed", "failed", "failed", "failed", "ok", "ok"])
      #expect(try workspace.row("gone-r2").message?.contains("nowhere") ?? false)
      #expect(try workspace.row("nan-r4").message?.contains("\(Name.up).weight' is nan at [0, 5]") ?? false)
      #expect(try workspace.adapter("good-r4").adapted.count == 16)

      // Mended, the same command does what is left and touches nothing else.
      let before = try times(workspace, "good-r4")
      try ModelPair.small(layers: 8).tuned.write(to: workspace.folder.file("broken"))
      try ModelPair.small(layers: 8).base.write(to: workspace.folder.file("nowhere"))
      try workspace.runWell(ranks: ranks)
      #expect(try workspace.rows().allSatisfy { $0.status == "ok" })
      #expect(try times(workspace, "good-r4") == before)
      #expect(
        try workspace.adapter("nan-r4").bytes("adapter_model.safetensors")
          == workspace.adapter("good-r4").bytes("adapter_model.safetensors"))
    }

    @Test("a filter or an edit that fits no module of a pair marks its own rows")
    func filters() throws {
      let workspace = try SweepWorkspace(
        plan: SweepWorkspace.head + """
          ranks: [2]
          filters: [{name: f, targets: zzz}, {name: g}]
          edits: [{name: e, drop: {k_proj: 0}}, {name: h}]
          """)
      #expect(try workspace.run().status == 65)
      #expect(try workspace.rows().map(\.status) == ["failed", "failed", "failed", "ok"])
      #expect(try workspace.row("a-r2-f-h").message?.contains("'zzz' matches none") ?? false)
      #expect(
        try workspace.row("a-r2-g-e").message
          == "edit 'e' names modules 'k_proj', of which pair 'a' has none; here are q_proj, up_proj")
    }

    @Test("what is lost is made again with the same bytes, and nothing else")
    func lostAdapter() throws {
      let workspace = try SweepWorkspace(plan: SweepWorkspace.head + "ranks: [2, 5]\n")
      try workspace.runWell()
      let small = try workspace.adapter("a-r2").bytes("adapter_model.safetensors")
      let kept = try times(workspace, "a-r5")
      // As after a kill between the adapter and its row, and as after somebody's tidying.
      try FileManager.default.removeItem(atPath: workspace.outputPath + "/rows/a-r2.json")
      try workspace.runWell(ranks: 2)
      #expect(try workspace.adapter("a-r2").bytes("adapter_model.safetensors") == small)
      try FileManager.default.removeItem(atPath: workspace.outputPath + "/a-r2")
      try workspace.runWell()
      #expect(try workspace.adapter("a-r2").bytes("adapter_model.safetensors") == small)
      #expect(try times(workspace, "a-r5") == kept)
    }

    @Test("other options, another edit under an old name and changed models are refused with what differs")
    func changes() throws {
      let plan = SweepWorkspace.head + "ranks: [2]\nedits: [{name: e, drop: {q_proj: 0}}]\n"
      let workspace = try SweepWorkspace(plan: plan)
      try workspace.runWell()
      try workspace.setPlan(plan + "seed: 1\n")
      try expectRefusal(workspace, "--seed 0 there, 1 here")
      try workspace.setPlan(plan.replacing("q_proj: 0", with: "q_proj: 1"))
      try expectRefusal(workspace, "edit drop: {q_proj: \"0\"} there, drop: {q_proj: \"1\"} here")
      try workspace.setPlan(plan)
      try ModelPair.small(seed: 4).tuned.write(to: workspace.models.tunedPath)
      try expectRefusal(workspace, workspace.models.tunedPath + "/model.safetensors was changed on ")
    }

    @Test("more ranks in the same plan are added to what is there")
    func moreRanks() throws {
      let workspace = try SweepWorkspace(plan: SweepWorkspace.head + "ranks: [2]\n")
      try workspace.runWell()
      let before = try times(workspace, "a-r2")
      try workspace.setPlan(SweepWorkspace.head + "ranks: [2, 4]\n")
      try workspace.runWell()
      #expect(try workspace.rows().map(\.name) == ["a-r2", "a-r4"])
      #expect(try times(workspace, "a-r2") == before)
    }

    private func expectRefusal(_ workspace: SweepWorkspace, _ difference: String) throws {
      let result = try workspace.run()
      #expect(result.status == 65)
      #expect(result.sentences.last?.contains("experiment 'a-r2-e' was made otherwise: ") ?? false)
      #expect(result.sentences.last?.contains(difference) ?? false, "\(result.errorOutput)")
    }

    /// When an adapter's files were last written.
    private func times(_ workspace: SweepWorkspace, _ name: String) throws -> [Date] {
      try ["adapter_model.safetensors", "report.json"].compactMap {
        try FileManager.default.attributesOfItem(atPath: "\(workspace.outputPath)/\(name)/\($0)")[
          .modificationDate] as? Date
      }
    }
  }
}
