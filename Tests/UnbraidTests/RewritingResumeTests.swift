import Checkpoints
import Foundation
import Glibc
import TestSupport
import Testing

extension UnbraidSuite {
  /// Models that are written anew, interrupted, and started again.
  @Suite struct RewritingResumeTests {
    private static let fileCount = 20

    private static let pair: ModelPair = {
      var random = SplitMix64(state: 5)
      func tensors() -> [FixtureTensor] {
        (0..<fileCount).map { layer in
          let values = (0..<320 * 256).map { _ in random.nextUniform() }
          return FixtureTensor("model.layers.\(layer).mlp.up_proj.weight", .bf16, shape: [320, 256], values)
        }
      }
      let configuration = ModelPair.small().base.configuration
      return ModelPair(
        base: ModelFixture(tensors(), configuration: configuration),
        tuned: ModelFixture(tensors(), configuration: configuration))
    }()

    /// Both models in many files, and an adapter for every layer of the base model.
    private static func workspace() throws -> Workspace {
      let workspace = try Workspace(pair, shardCount: fileCount)
      var adapter = LoRAFixture()
      for layer in 0..<fileCount {
        adapter.add("model.layers.\(layer).mlp.up_proj", out: 320, in: 256, rank: 4, seed: UInt64(layer))
      }
      try adapter.write(to: workspace.folder.file("adapter"))
      return workspace
    }

    private func command(_ name: String, _ workspace: Workspace) throws -> [String] {
      switch name {
      case "merge": ["merge", workspace.basePath, workspace.folder.file("adapter"), "-o"]
      case "graft": ["graft", workspace.basePath, workspace.tunedPath, "--layers", "5-15", "-o"]
      default: ["convert", try Self.decompose(workspace), workspace.folder.file("decomposed"), "-o"]
      }
    }

    /// Makes svd-training's tensors of the base model, and a file with what was trained of them.
    private static func decompose(_ workspace: Workspace) throws -> String {
      let folder = workspace.folder.file("decomposed")
      let result = try Workspace.run([
        "init", workspace.basePath, "--as", "svd-training", "--rank-fraction", "0.1", "-o", folder,
      ])
      try #require(result.status == 0, "\(result.errorOutput)")
      let values = try RawSafetensors.read(folder + "/svd_decomposed.safetensors").values
      try workspace.folder.write(
        RawSafetensors.file(
          values.filter { $0.name.hasSuffix(".sigma") }.sorted { $0.name < $1.name }),
        to: "trained.safetensors")
      return workspace.folder.file("trained.safetensors")
    }

    /// All files of a finished model by name, whose command must succeed.
    private func model(_ command: [String], _ path: String) throws -> [String: Data] {
      let result = try Workspace.run(command + [path])
      try #require(result.status == 0, "\(result.errorOutput)")
      return try files(path)
    }

    private func files(_ path: String) throws -> [String: Data] {
      try Dictionary(
        uniqueKeysWithValues: FileManager.default.contentsOfDirectory(atPath: path).map {
          ($0, try Data(contentsOf: URL(filePath: path + "/" + $0)))
        })
    }

    /// Starts a command and returns once so many of its files are finished.
    private func start(_ command: [String], _ path: String, finished count: Int) throws -> RunningProcess {
      let running = try Workspace.start(command + [path])
      let record = path + String(format: ".partial/journal/%06d.safetensors", count)
      while kill(running.identifier, 0) == 0 && access(record, F_OK) != 0 { usleep(100) }
      return running
    }

    /// Kills a command when so many of its files are finished.
    private func interrupt(_ command: [String], _ path: String, finished count: Int) throws {
      let running = try start(command, path, finished: count)
      kill(running.identifier, SIGKILL)
      try #require(running.result().status == 128 + SIGKILL)
      try #require(access(path, F_OK) != 0)
    }

    /// How many files a run said that it carries on from.
    private func keptCount(_ result: ProcessResult) -> Int {
      let line = result.sentences.first { $0.hasPrefix("unbraid: carrying on: ") }
      return line.flatMap { Int($0.split(separator: " ")[3]) } ?? 0
    }

    @Test(
      "a killed command keeps its finished files, untouched, and ends with the same bytes",
      arguments: ["merge", "graft"])
    func killed(name: String) throws {
      let workspace = try Self.workspace()
      let command = try command(name, workspace)
      let whole = try model(command, workspace.folder.file("whole"))
      let path = workspace.outputPath
      try interrupt(command, path, finished: 3)
      let first = path + ".partial/contents/model-00001-of-000020.safetensors"
      let modified = try FileManager.default.attributesOfItem(atPath: first)[.modificationDate] as? Date
      try interrupt(command, path, finished: 8)
      let result = try Workspace.run(command + [path])
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect(keptCount(result) >= 8 && keptCount(result) < Self.fileCount)
      #expect(result.output.contains(": \(name == "merge" ? 20 : 11) of 20 tensors changed, "))
      #expect(try files(path) == whole)
      let final = path + "/model-00001-of-000020.safetensors"
      #expect(
        try FileManager.default.attributesOfItem(atPath: final)[.modificationDate] as? Date == modified)
      #expect(workspace.folder.contents.allSatisfy { !$0.hasPrefix("out.partial") })
    }

    @Test("so does one that is killed again and again, at any moment")
    func killedAnywhere() throws {
      let workspace = try Self.workspace()
      let command = try command("merge", workspace)
      let whole = try model(command, workspace.folder.file("whole"))
      let path = workspace.outputPath
      try interrupt(command, path, finished: 1)
      var random = SplitMix64(state: 9)
      var kept = 0
      func look(_ result: ProcessResult) {
        guard result.errorOutput.contains("carrying on: ") else { return }
        // What was finished before stays finished.
        #expect(keptCount(result) >= max(1, kept))
        kept = keptCount(result)
      }
      for _ in 0..<8 {
        let running = try Workspace.start(command + [path])
        usleep(UInt32(60_000 + 50_000 * random.nextUniform()))
        kill(running.identifier, SIGKILL)
        let result = running.result()
        try #require([0, 128 + SIGKILL].contains(result.status), "\(result.errorOutput)")
        look(result)
      }
      let last = try Workspace.run(command + [path])
      #expect(last.status == 0, "\(last.errorOutput)")
      look(last)
      #expect(kept > 0)
      #expect(try files(path) == whole)
      #expect(workspace.folder.contents.allSatisfy { !$0.hasPrefix("out.partial") })
    }

    @Test(
      "a command that was killed when its model had appeared says that it is complete, and clears up",
      arguments: ["merge", "graft", "convert"])
    func complete(name: String) throws {
      let workspace = try Self.workspace()
      let command = try command(name, workspace)
      let path = workspace.outputPath
      let whole = try model(command, path)
      _ = try workspace.folder.makeFolder("out.partial/journal")
      try workspace.folder.write([1], to: "out.partial/journal/000001.safetensors")
      let other = try Workspace.run(
        name == "merge"
          ? command + [path, "--shard-size", "1M"]
          : ["graft", workspace.basePath, workspace.tunedPath, "--layers", "3", "-o", path])
      #expect(other.status == 65 && other.errorOutput.contains("the output folder already holds "))
      #expect(workspace.folder.contents.contains("out.partial"))
      let changed = name == "graft" ? 11 : 20
      let result = try Workspace.run(command + [path])
      #expect(result.status == 0 && result.sentences.isEmpty, "\(result.errorOutput)")
      #expect(result.output == "\(path): is complete already: \(changed) of 20 tensors changed\n")
      #expect(try files(path) == whole)
      #expect(!workspace.folder.contents.contains("out.partial"))
    }

    @Test("a command that keeps no finished work refuses what another has left, and harms nothing")
    func leftover() throws {
      let workspace = try Self.workspace()
      let command = try command("merge", workspace)
      let path = workspace.outputPath
      let adapter = workspace.folder.file("adapter")
      try interrupt(command, path, finished: 3)
      for other in [
        ["resize", adapter, "--rank", "2"], ["convert", adapter, adapter],
        ["export", adapter, "--for", "peft"],
        ["resize", workspace.folder.file("none"), "--rank", "2"],
      ] {
        let result = try Workspace.run(other + ["-o", path])
        #expect(result.status == 65)
        #expect(
          result.errorOutput.hasPrefix(
            "unbraid: \(path).partial/journal: holds finished work of a job that differs: version "),
          "\(other[0]): \(result.errorOutput)")
        #expect(
          result.errorOutput.contains(
            ", result a merged model, MODEL \(workspace.basePath), ADAPTER \(adapter)"))
      }
      let result = try Workspace.run(command + [path])
      #expect(result.status == 0 && keptCount(result) >= 3, "\(result.errorOutput)")
    }

    @Test(
      "a command that is asked to stop finishes the file in work, says what it keeps, and exits with 75",
      arguments: ["merge", "convert"])
    func stopped(name: String) throws {
      let workspace = try Self.workspace()
      let command = try command(name, workspace)
      let whole = try model(command, workspace.folder.file("whole"))
      for (number, name) in [(SIGUSR1, "SIGUSR1"), (SIGTERM, "SIGTERM")] {
        let path = workspace.folder.file(name)
        let running = try start(command, path, finished: 2)
        kill(running.identifier, number)
        let result = running.result()
        #expect(result.status == 75)
        try #require(result.sentences.count == 2, "\(result.errorOutput)")
        #expect(result.sentences[0].hasSuffix(" of 20 files are finished and kept in \(path).partial"))
        #expect(result.sentences[1] == "unbraid: stopped by \(name); the same command carries on")
        #expect(try model(command, path) == whole)
      }
    }

    @Test("files that are damaged, cut or gone since are written again, with a message each")
    func damaged() throws {
      let workspace = try Self.workspace()
      let command = try command("graft", workspace)
      let whole = try model(command, workspace.folder.file("whole"))
      try interrupt(command, workspace.outputPath, finished: 6)
      let contents = workspace.outputPath + ".partial/contents"
      let names = try FileManager.default.contentsOfDirectory(atPath: contents).filter {
        $0.hasSuffix(".safetensors")
      }.sorted()
      func spoil(_ name: String, _ change: (inout Data) -> Void) throws {
        let file = URL(filePath: contents + "/" + name)
        var data = try Data(contentsOf: file)
        change(&data)
        try data.write(to: file)
      }
      try spoil(names[0]) { $0[$0.count - 1] ^= 1 }
      try spoil(names[1]) { $0.removeLast(8) }
      try spoil(names[2]) { $0[9] = UInt8(ascii: "~") }
      try FileManager.default.removeItem(atPath: contents + "/" + names[3])
      // What nobody knows of does not get into the model.
      try Data("[]".utf8).write(to: URL(filePath: contents + "/stray.json"))
      let result = try Workspace.run(command + [workspace.outputPath])
      try #require(result.status == 0, "\(result.errorOutput)")
      let problems = [
        "holds other tensors than it was finished with (hash ", "it is cut short", "byte 9: ", "no such file",
      ]
      for (name, problem) in zip(names, problems) {
        #expect(
          result.sentences.contains {
            $0.hasPrefix("unbraid: note: \(contents)/\(name): ") && $0.contains(problem)
              && $0.hasSuffix("; it is written again")
          }, "\(name): \(result.errorOutput)")
      }
      #expect(keptCount(result) >= 2)
      #expect(try files(workspace.outputPath) == whole)
    }

    @Test("other options and changed inputs are refused, with what differs, and harm nothing")
    func otherJob() throws {
      let workspace = try Self.workspace()
      let command = try command("merge", workspace)
      let path = workspace.outputPath
      try interrupt(command, path, finished: 3)
      let adapter = workspace.folder.file("adapter")
      func refusal(_ command: [String]) throws -> String {
        let result = try Workspace.run(command + [path])
        #expect(result.status == 65)
        return result.errorOutput
      }
      #expect(
        try refusal(["merge", workspace.basePath, adapter + "=0.5", "-o"]).contains(
          "differs: ADAPTER \(adapter)=1.0 there, \(adapter)=0.5 here; start that one again"))
      #expect(
        try refusal(self.command("graft", workspace)).contains(
          "result a merged model there, a grafted model here"))
      let configuration = URL(filePath: adapter + "/adapter_config.json")
      let text = try Data(contentsOf: configuration)
      try Data(#"{"peft_type":"LORA","r":4,"lora_alpha":16}"#.utf8).write(to: configuration)
      #expect(try refusal(command).contains("adapter_config.json has 42 bytes now and had 41 then"))
      try text.write(to: configuration)
      #expect(try refusal(command).contains("adapter_config.json was changed on "))
      let shard = workspace.basePath + "/model-00003-of-000020.safetensors"
      try FileManager.default.setAttributes(
        [.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: shard)
      #expect(try refusal(command).contains("\(shard) was changed on 1970-01-01"))
      #expect(access(path + ".partial/contents/model-00001-of-000020.safetensors", F_OK) == 0)
    }

    @Test(
      "a disk that fills up keeps the finished files, and the command goes on once there is room",
      .enabled(if: TemporaryMount.isPermitted, "needs mount(8)"), arguments: [100, 2000])
    func fullDisk(kilobytes: Int) throws {
      let workspace = try Self.workspace()
      let command = try command("merge", workspace)
      let whole = try model(command, workspace.folder.file("whole"))
      let mount = try TemporaryMount(options: "size=\(kilobytes)k", in: workspace.folder)
      let path = mount.path + "/out"
      let full = try Workspace.run(command + [path])
      #expect(full.status == 74)
      #expect(try #require(full.sentences.last).hasSuffix(": No space left on device"))
      try mount.remount("size=64M")
      let result = try Workspace.run(command + [path])
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect((keptCount(result) > 0) == (kilobytes > 1000))
      #expect(try files(path) == whole)
    }
  }
}
