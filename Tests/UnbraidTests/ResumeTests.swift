import Foundation
import Glibc
import TestSupport
import Testing

extension TroubleSuite {
  /// Jobs that are interrupted and started again.
  @Suite struct ResumeTests {
    private static let options = ["--rank", "8", "--method", "dense"]
    private static let files = ["adapter_model.safetensors", "adapter_config.json", "README.md"]
    private static let moduleCount = 64

    /// Enough full SVDs that a job lasts a second or two, and many results before its end.
    private static func pair() -> ModelPair {
      var random = SplitMix64(state: 11)
      func tensors() -> [FixtureTensor] {
        (0..<moduleCount).map { layer in
          let values = (0..<320 * 256).map { _ in random.nextUniform() }
          return FixtureTensor("model.layers.\(layer).mlp.up_proj.weight", shape: [320, 256], values)
        }
      }
      return ModelPair(base: ModelFixture(tensors()), tuned: ModelFixture(tensors()))
    }

    /// Starts a job and returns once it has something to lose.
    private func start(
      _ workspace: Workspace, ranks: Int? = nil, options: [String] = options, output: String? = nil
    ) throws -> RunningProcess {
      let output = output ?? workspace.outputPath
      let running = try Workspace.start(
        ["extract", workspace.basePath, workspace.tunedPath, "-o", output] + options, ranks: ranks)
      let journal = output + ".partial/journal/000001.safetensors"
      while kill(running.identifier, 0) == 0 && access(journal, F_OK) != 0 { usleep(200) }
      return running
    }

    /// Kills a job as soon as it has something to lose.
    private func killEarly(_ workspace: Workspace, ranks: Int?, options: [String] = options) throws {
      let running = try start(workspace, ranks: ranks, options: options)
      // A killed mpirun's ranks live on for a moment, and may finish; without a rank there is no job.
      for process in ranks == nil ? [running.identifier] : running.children { kill(process, SIGKILL) }
      let result = running.result(timeoutSeconds: 50)
      try #require(result.status == 128 + SIGKILL, "\(result.errorOutput)")
      try #require(access(workspace.outputPath, F_OK) != 0)
    }

    @Test(
      "a killed job goes on where it was, on any number of ranks, to the same bytes", arguments: [nil, 2])
    func killed(ranks: Int?) throws {
      let workspace = try Workspace(Self.pair())
      let undisturbed = try workspace.adapter(Self.options, name: "undisturbed")
      #expect(undisturbed.report.carriedOverCount == 0)
      try killEarly(workspace, ranks: ranks)
      try killEarly(workspace, ranks: nil)
      let result = try workspace.extract(Self.options, ranks: ranks == nil ? 3 : nil)
      #expect(result.status == 0)
      let resumed = try AdapterFolder(workspace.outputPath)
      let count = resumed.report.carriedOverCount
      #expect(count > 1 && count < Self.moduleCount)
      #expect(resumed.report.ranks.reduce(0) { $0 + $1.unitCount } == Self.moduleCount - count)
      #expect(resumed.report.bytesRead == (Self.moduleCount - count) * 2 * 320 * 256 * 4)
      #expect(result.sentences.contains("unbraid: carrying on: \(count) of 64 tensors were finished before"))
      for file in Self.files {
        #expect(try resumed.bytes(file) == undisturbed.bytes(file), "\(file)")
      }
    }

    @Test("a job that is asked to stop finishes what it has in work, and says what it keeps")
    func stopped() throws {
      let workspace = try Workspace(Self.pair())
      let undisturbed = try workspace.adapter(Self.options, name: "undisturbed")
      let running = try start(workspace, ranks: 2)
      kill(running.identifier, SIGUSR1)
      let result = running.result(timeoutSeconds: 50)
      #expect(result.status == 75)
      let kept = try #require(result.sentences.first)
      #expect(kept.hasSuffix(" of 64 tensors are finished and kept in \(workspace.outputPath).partial"))
      #expect(result.sentences.dropFirst() == ["unbraid: stopped by SIGUSR1; the same command carries on"])
      let resumed = try workspace.adapter(Self.options, ranks: 2)
      #expect(kept.hasPrefix("unbraid: \(resumed.report.carriedOverCount) of "))
      for file in Self.files { #expect(try resumed.bytes(file) == undisturbed.bytes(file), "\(file)") }
    }

    @Test("a method over all ranks goes on as well")
    func collective() throws {
      let workspace = try Workspace(Self.pair())
      try killEarly(workspace, ranks: 2, options: ["--rank", "8", "--method", "exact"])
      #expect(
        try workspace.adapter(["--rank", "8", "--method", "exact"], ranks: 2).report.carriedOverCount > 0)
    }

    @Test("a method over all ranks that is ended within a module keeps what it had, and says so")
    func collectiveStopped() throws {
      let workspace = try Workspace(Self.pair())
      let options = ["--rank", "8", "--method", "exact"]
      let running = try start(workspace, ranks: 2, options: options)
      kill(running.children[0], SIGTERM)
      let result = running.result(timeoutSeconds: 50)
      #expect(result.status == 75)
      let kept = try #require(result.sentences.first)
      #expect(kept.hasSuffix(" of 64 tensors are finished and kept in \(workspace.outputPath).partial"))
      #expect(result.sentences.dropFirst() == ["unbraid: stopped by SIGTERM; the same command carries on"])
      let resumed = try workspace.adapter(options, ranks: 2)
      #expect(kept.hasPrefix("unbraid: \(resumed.report.carriedOverCount) of "))
    }

    @Test("a restart that cannot run as it was started, or finds no model, costs nothing that was finished")
    func unfitRestart() throws {
      let workspace = try Workspace(Self.pair())
      try killEarly(workspace, ranks: nil)
      #expect(try workspace.extract(Self.options + ["--memory-per-rank", "1M"]).status == 64)
      let (tuned, away) = (workspace.tunedPath, workspace.folder.file("away"))
      try FileManager.default.moveItem(atPath: tuned, toPath: away)
      #expect(try workspace.extract(Self.options).status == 65)
      try FileManager.default.moveItem(atPath: away, toPath: tuned)
      // Slashes that say nothing make no other job.
      let result = try Workspace.run(
        ["extract", workspace.basePath + "/", tuned + "//", "-o", workspace.outputPath] + Self.options)
      #expect(result.status == 0)
      #expect(try AdapterFolder(workspace.outputPath).report.carriedOverCount > 0)
    }

    @Test("other options or a changed model are refused, with what differs, and harm nothing")
    func otherJob() throws {
      let workspace = try Workspace(Self.pair())
      try killEarly(workspace, ranks: nil)
      // The killed job's, which the refused one finds to be nobody's and takes away.
      try FileManager.default.removeItem(atPath: workspace.outputPath + ".partial/lock")
      try workspace.expectRefusal(
        "{out}.partial/journal: holds finished work of a job that differs: --rank 8 there, 4 here; --seed 0 there, "
          + "7 here; start that one again, remove the folder, or give another with -o",
        status: 65, ["--rank", "4", "--seed", "7", "--method", "dense"])
      let tuned = workspace.tunedPath + "/model.safetensors"
      try ProcessRunner.run("touch", ["-d", "2030-01-02T03:04:05Z", tuned]).requireSuccess()
      let result = try workspace.extract(Self.options)
      #expect(result.status == 65)
      let sentence = try #require(result.sentences.first)
      #expect(sentence.contains("differs: \(tuned) was changed on 2030-01-02T03:04:05.000Z, after the 20"))
      try ProcessRunner.run("truncate", ["-s", "+8", tuned]).requireSuccess()
      #expect(try workspace.extract(Self.options).status == 65)
    }

    @Test("a model that changes while the job runs is noticed before anything is published")
    func changedMeanwhile() throws {
      let workspace = try Workspace(Self.pair())
      let tuned = workspace.tunedPath + "/model.safetensors"
      let running = try start(workspace)
      utimes(tuned, nil)
      let result = running.result(timeoutSeconds: 50)
      #expect(result.status == 65)
      #expect(
        result.sentences == [
          "unbraid: \(tuned): was changed while the job ran; nothing of it can be used, start again"
        ])
      #expect(workspace.folder.contents.allSatisfy { !$0.hasPrefix("out") })
    }

    @Test("a damaged part of the journal is computed again, with a message")
    func damaged() throws {
      let workspace = try Workspace(Self.pair())
      let undisturbed = try workspace.adapter(Self.options, name: "undisturbed")
      try killEarly(workspace, ranks: nil)
      let path = workspace.outputPath + ".partial/journal/000001.safetensors"
      var bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
      bytes[bytes.count - 1] ^= 1
      try Data(bytes).write(to: URL(filePath: path))
      let result = try workspace.extract(Self.options)
      #expect(result.status == 0)
      #expect(result.sentences.contains { $0.contains(path) && $0.hasSuffix("it is computed again") })
      let resumed = try AdapterFolder(workspace.outputPath)
      for file in Self.files { #expect(try resumed.bytes(file) == undisturbed.bytes(file), "\(file)") }
    }

    @Test(
      "a disk that fills up keeps what was finished, and the job goes on once there is room",
      .enabled(if: TemporaryMount.isPermitted, "needs mount(8)"),
      arguments: [16, 200, 700, 1800])
    func fullDisk(kilobytes: Int) throws {
      let workspace = try Workspace(Self.pair())
      let undisturbed = try workspace.adapter(Self.options, name: "undisturbed")
      let mount = try TemporaryMount(options: "size=\(kilobytes)k", in: workspace.folder)
      let command = ["extract", workspace.basePath, workspace.tunedPath, "-o", mount.path + "/out"]
      let full = try Workspace.run(command + Self.options)
      #expect(full.status == 74)
      let last = try #require(full.sentences.last)
      #expect(last.hasPrefix("unbraid: \(mount.path)/out.partial"))
      #expect(last.contains("No space left on device"))
      try mount.remount("size=64M")
      try expect(command, toEqual: undisturbed, carriedOver: kilobytes > 100)
    }

    @Test(
      "so does one whose file system becomes read-only",
      .enabled(if: TemporaryDisk.isPermitted, "needs loop devices and ext4"))
    func readOnlyMidway() throws {
      let workspace = try Workspace(Self.pair())
      let undisturbed = try workspace.adapter(Self.options, name: "undisturbed")
      let disk = try TemporaryDisk(in: workspace.folder)
      let command = ["extract", workspace.basePath, workspace.tunedPath, "-o", disk.path + "/out"]
      let running = try start(workspace, output: disk.path + "/out")
      // A name may be there before it is durable; the second segment begins when the first one is.
      let next = disk.path + "/out.partial/journal/000002.safetensors"
      while kill(running.identifier, 0) == 0 && access(next, F_OK) != 0 && access(next + ".tmp", F_OK) != 0 {}
      try #require(disk.fail())
      let stopped = running.result(timeoutSeconds: 50)
      #expect(stopped.status == 74)
      #expect(try #require(stopped.sentences.last).hasSuffix(": Read-only file system"))
      try disk.replace()
      try expect(command, toEqual: undisturbed, carriedOver: true)
    }

    private func expect(
      _ command: [String], toEqual undisturbed: AdapterFolder, carriedOver: Bool,
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let result = try Workspace.run(command + Self.options)
      #expect(result.status == 0, "\(result.errorOutput)", sourceLocation: sourceLocation)
      let resumed = try AdapterFolder(command[4])
      #expect((resumed.report.carriedOverCount > 0) == carriedOver, sourceLocation: sourceLocation)
      for file in Self.files {
        #expect(
          try resumed.bytes(file) == undisturbed.bytes(file), "\(file)", sourceLocation: sourceLocation)
      }
    }
  }
}

extension ProcessResult {
  fileprivate func requireSuccess() throws { try #require(status == 0, "\(errorOutput)") }
}
