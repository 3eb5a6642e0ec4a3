import Checkpoints
import Foundation
import Glibc
import TestSupport
import Testing

extension UnbraidSuite {
  @Suite struct JointTests {
    private func joint(
      _ workspace: Workspace, _ options: [String], ranks: Int? = nil, output: String? = nil,
      others: [String] = []
    ) throws -> ProcessResult {
      try Workspace.run(
        ["joint", workspace.basePath, workspace.tunedPath] + others
          + ["-o", output ?? workspace.outputPath] + options, ranks: ranks)
    }

    @Test(
      "every number of ranks and every memory writes the same bytes, with residuals that are true",
      arguments: [
        ["--method", "tucker", "--rank", "6"], ["--method", "tucker", "--ranks", "5,3", "--layer-rank", "2"],
        ["--method", "tucker", "--tolerance", "0.6"], ["--method", "cp", "--rank", "3"],
        ["--method", "shared", "--rank", "4"], ["--method", "shared", "--side", "out", "--rank", "4"],
      ])
    func methods(options: [String]) throws {
      let workspace = try Workspace(JointPair.noise())
      let first = try joint(workspace, options)
      try #require(first.status == 0, "\(first.errorOutput)")
      let folder = try JointOutput(workspace.outputPath)
      #expect(folder.groups.map(\.name) == ["mlp.down_proj", "mlp.up_proj", "self_attn.q_proj"])
      #expect(folder.groups[2].modules.first == "model.layers.8.self_attn.q_proj")
      #expect(folder.groups[2].modules.last == "model.layers.12.self_attn.q_proj")
      #expect(folder.groups[1].modules.count == 4)
      #expect(first.errorOutput.contains("'model.layers.10.mlp.up_proj' is left out of group 'mlp.up_proj'"))
      #expect(first.errorOutput.contains("group 'lm_head' is left out") == false, "the head is not selected")
      for group in folder.groups {
        for (index, module) in group.modules.enumerated() {
          let name = module + ".weight"
          let delta = zip(JointPair.noise().tuned[name].values, JointPair.noise().base[name].values).map {
            $0 - $1
          }
          let rebuilt = try folder.rebuilt(group, tuned: 0, layer: index)
          let residual = zip(delta, rebuilt).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
          #expect(abs(residual - group.residuals[index]) < 1e-4 * group.energies[index])
          #expect(
            abs(delta.reduce(0) { $0 + $1 * $1 } - group.energies[index]) < 1e-6 * group.energies[index])
        }
        let separate = try #require(group.separate)
        #expect(separate.tripletCount == group.parameterCount / (group.shape[0] + group.shape[1]))
      }
      for ranks in [2, 3, 4, 7] {
        let path = workspace.folder.file("ranks\(ranks)")
        let memory = ranks == 3 ? ["--memory-per-rank", "1K", "--threads", "2"] : []
        let result = try joint(workspace, options + memory, ranks: ranks, output: path)
        try #require(result.status == 0, "\(result.errorOutput)")
        #expect(result.errorOutput.contains("more than --memory-per-rank allows") == (ranks == 3))
        #expect(try JointOutput(path).files == folder.files, "\(ranks) ranks")
        if ranks == 7 { #expect(result.errorOutput.contains("2 of 7 ranks have nothing to do")) }
      }
    }

    @Test(
      "two fine-tunes are a further mode, and each component says who uses it",
      arguments: ["tucker", "cp", "shared"])
    func fourWay(method: String) throws {
      let workspace = try Workspace(JointPair.noise())
      let other = workspace.folder.file("other")
      try JointPair.noise(seed: 9).tuned.write(to: other)
      let result = try joint(workspace, ["--method", method, "--rank", "4"], ranks: 2, others: [other])
      try #require(result.status == 0, "\(result.errorOutput)")
      let folder = try JointOutput(workspace.outputPath)
      for group in folder.groups {
        #expect(group.tunedCount == 2)
        #expect(group.tunedEnergies.count == 2)
        #expect(group.energies.count == 2 * group.modules.count)
        for tuned in 0..<2 {
          let name = group.modules[1] + ".weight"
          let model = tuned == 0 ? JointPair.noise().tuned : JointPair.noise(seed: 9).tuned
          let delta = zip(model[name].values, JointPair.noise().base[name].values).map { $0 - $1 }
          let rebuilt = try folder.rebuilt(group, tuned: tuned, layer: 1)
          let residual = zip(delta, rebuilt).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
          let slice = tuned * group.modules.count + 1
          #expect(abs(residual - group.residuals[slice]) < 1e-4 * group.energies[slice])
        }
        if method == "cp" { #expect(group.components?.tunedUse.first?.count == 2) }
      }
    }

    @Test(
      "what cannot be done is said in one sentence",
      arguments: [
        (["--include", "layers.8"], 64, "has another one of its type and shape"),
        (["--group", "nothing"], 64, "--group 'nothing' matches none of the 15 modules"),
        (["--group", "("], 64, "is no regular expression"),
        (["--rank", "0"], 64, "--rank is 0; give a number of 1 or more"),
        (["--method", "cp", "--tolerance", "0.5"], 64, "--tolerance belongs to --method tucker"),
        (["--tolerance", "1.5"], 64, "--tolerance is 1.5"), (["--ranks", "5"], 64, "--ranks is '5'"),
        (["--tolerance", "0.5", "--layer-rank", "2"], 64, "--layer-rank gives a number where --tolerance"),
        (["--starts", "5"], 64, "--starts belongs to --method cp, and --method tucker was given"),
        (["--side", "auto"], 64, "--side belongs to --method shared"),
        (["--side", "in"], 64, "--side belongs to --method shared"),
        (["--method", "shared", "--steps", "2"], 64, "--steps belongs to --method tucker and cp"),
        (
          ["--group", "q_proj", "--group", "self_attn.q"], 64,
          "'model.layers.8.self_attn.q_proj' matches both --group 'q_proj' and --group 'self_attn.q'"
        ),
      ])
    func refusals(options: [String], status: Int32, sentence: String) throws {
      let workspace = try Workspace(JointPair.noise())
      let result = try joint(workspace, options)
      #expect(result.status == status)
      #expect(result.errorOutput.contains(sentence), "\(result.errorOutput)")
      #expect(!FileManager.default.fileExists(atPath: workspace.outputPath + ".partial"))
    }

    @Test(
      "ranks above the dimensions are clamped and said; the whole of it rebuilds the fine-tune",
      arguments: [[], ["--layer-rank", "99"]])
    func clamped(options: [String]) throws {
      let workspace = try Workspace(JointPair.noise())
      let result = try joint(workspace, ["--rank", "99"] + options)
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect(result.errorOutput.contains("group 'self_attn.q_proj': rank 99 of the outputs became 24"))
      #expect(result.errorOutput.contains("group 'self_attn.q_proj': rank 99 of the inputs became 20"))
      for group in try JointOutput(workspace.outputPath).groups {
        #expect(group.residuals.reduce(0, +) < 1e-10 * group.energies.reduce(0, +))
      }
    }

    @Test("a pattern makes a group of its own")
    func patterns() throws {
      let workspace = try Workspace(JointPair.noise())
      let result = try joint(workspace, ["--group", "q_proj|9.mlp.down", "--rank", "3"])
      try #require(result.status == 0, "\(result.errorOutput)")
      let folder = try JointOutput(workspace.outputPath)
      #expect(folder.groups.map(\.name) == ["q_proj|9.mlp.down"])
      #expect(folder.groups[0].modules.count == 5)
      #expect(result.errorOutput.contains("'model.layers.9.mlp.down_proj' is left out of group"))
    }

    @Test("an entry that is no number is named with its file, and equal models have nothing to share")
    func badData() throws {
      var pair = JointPair.noise()
      pair.tuned.set("model.layers.9.self_attn.q_proj.weight", at: 21, to: .nan)
      let workspace = try Workspace(pair)
      let result = try joint(workspace, [], ranks: 2)
      #expect(result.status == 65)
      #expect(result.errorOutput.contains("'model.layers.9.self_attn.q_proj.weight' is nan at [1, 1]"))
      let same = try Workspace(ModelPair(base: JointPair.noise().base, tuned: JointPair.noise().base))
      let nothing = try joint(same, [])
      #expect(nothing.status == 65)
      #expect(nothing.errorOutput.contains("there is nothing to decompose"))
      #expect(!FileManager.default.fileExists(atPath: same.outputPath + ".partial"))
    }

    @Test("a stopped job ends with 75, and carries on to the same bytes", arguments: [SIGUSR1, SIGKILL])
    func resume(signal: Int32) throws {
      let workspace = try Workspace(Self.largePair())
      let options = ["--method", "tucker", "--rank", "40", "--no-compare"]
      let undisturbed = workspace.folder.file("undisturbed")
      try #require(try joint(workspace, options, output: undisturbed).status == 0)
      let running = try Workspace.start(
        ["joint", workspace.basePath, workspace.tunedPath, "-o", workspace.outputPath] + options)
      let journal = workspace.outputPath + ".partial/journal/000001.safetensors"
      while kill(running.identifier, 0) == 0 && access(journal, F_OK) != 0 { usleep(200) }
      kill(running.identifier, signal)
      let stopped = running.result(timeoutSeconds: 30)
      try #require(stopped.status == (signal == SIGUSR1 ? 75 : 128 + SIGKILL), "\(stopped.errorOutput)")
      let result = try joint(workspace, options, ranks: 2)
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect(result.errorOutput.contains("carrying on: "))
      #expect(try JointOutput(workspace.outputPath).files == JointOutput(undisturbed).files)
      let again = try joint(workspace, options)
      #expect(again.status == 0)
      #expect(again.output.contains("is complete already"))
      let other = try joint(workspace, options + ["--seed", "3"])
      #expect(other.status == 65, "a folder of another job is left alone")
    }

    /// Enough work that a signal meets it.
    private static func largePair() -> ModelPair {
      var random = SplitMix64(state: 6)
      func model() -> ModelFixture {
        ModelFixture(
          (0..<16).map { layer in
            let values = (0..<400 * 300).map { _ in random.nextUniform() }
            return FixtureTensor(
              "model.layers.\(layer).mlp.up_proj.weight", .bf16, shape: [400, 300], values)
          })
      }
      return ModelPair(base: model(), tuned: model())
    }
  }
}
