import Foundation
import Glibc
import TestSupport
import Testing

extension TroubleSuite {
  @Suite struct OutputTests {
    @Test("a folder that holds something is refused and left as it is; an empty one is filled")
    func occupied() throws {
      let workspace = try Workspace()
      _ = try workspace.folder.makeFolder("out")
      try workspace.folder.write("mine".utf8, to: "out/notes.txt")
      try workspace.expectRefusal(
        "{out}: the output folder already holds 1 entry; remove it or give another with -o")
      #expect(try String(contentsOfFile: workspace.outputPath + "/notes.txt", encoding: .utf8) == "mine")
      try FileManager.default.removeItem(atPath: workspace.outputPath + "/notes.txt")
      #expect(try workspace.adapter(["--rank", "2"]).adapted.count == 4)
      try workspace.expectRefusal(
        "{out}: the output folder already holds 4 entries; remove it or give another with -o",
        ["--rank", "3"])
    }

    @Test("the same command on its own complete output says so and changes nothing", arguments: [nil, 2])
    func complete(ranks: Int?) throws {
      let workspace = try Workspace()
      let first = try workspace.extract(["--rank", "2"], ranks: ranks)
      // As if the job had been killed after its last rename.
      try workspace.folder.write("left".utf8, to: "left")
      try FileManager.default.moveItem(
        atPath: workspace.folder.file("left"),
        toPath: workspace.folder.makeFolder("out.partial/journal") + "/000001.safetensors")
      let second = try workspace.extract(["--rank", "2"], ranks: ranks)
      #expect(second.status == 0)
      let summary = try #require(first.outputLines.last).dropFirst("\(workspace.outputPath): ".count)
      #expect(second.outputLines == ["\(workspace.outputPath): is complete already: \(summary)"])
      #expect(!FileManager.default.fileExists(atPath: workspace.outputPath + ".partial"))
    }

    @Test("a file under the output's name is refused and kept")
    func isFile() throws {
      let workspace = try Workspace()
      try workspace.folder.write("mine".utf8, to: "out")
      try workspace.expectRefusal("{out}: is a file; give a folder to be made with -o")
    }

    @Test("a bare name, even of one letter, is a folder where the program was started")
    func bareName() throws {
      let workspace = try Workspace()
      for name in ["o", "o1"] {
        let result = try ProcessRunner.run(
          BuiltProduct.path(of: "unbraid"), ["extract", "base", "tuned", "-o", name, "--rank", "2"],
          workingFolder: workspace.folder.path)
        #expect(result.status == 0)
        #expect(try AdapterFolder(workspace.folder.file(name)).adapted.count == 4)
      }
    }

    @Test("names that could not be given at the end are refused before the work")
    func unusable() throws {
      let workspace = try Workspace()
      _ = try workspace.folder.makeFolder("elsewhere")
      try FileManager.default.createSymbolicLink(
        atPath: workspace.outputPath, withDestinationPath: workspace.folder.file("elsewhere"))
      try workspace.expectRefusal(
        "{out}: is a symbolic link; give the name of a folder to be made with -o")
      for name in [".", "..", "/"] {
        let result = try Workspace.run(["extract", workspace.basePath, workspace.tunedPath, "-o", name])
        #expect(result.status == 65)
        #expect(
          result.sentences == [
            "unbraid: \(name): is no name of its own; give the name of a folder to be made with -o"
          ])
      }
    }

    @Test("nor is a mount point", .enabled(if: TemporaryMount.isPermitted, "needs mount(8)"))
    func mountPoint() throws {
      let workspace = try Workspace()
      let mount = try TemporaryMount(options: "size=1M", in: workspace.folder)
      let result = try Workspace.run(["extract", workspace.basePath, workspace.tunedPath, "-o", mount.path])
      #expect(result.status == 65)
      #expect(
        try #require(result.sentences.first).contains("is a mounted file system, which cannot be renamed"))
    }

    @Test("a slash at the end changes nothing, and what a killed job left is replaced")
    func leftovers() throws {
      let workspace = try Workspace()
      _ = try workspace.folder.makeFolder("out.partial")
      try workspace.folder.write("torn".utf8, to: "out.partial/adapter_model.safetensors.tmp")
      _ = try workspace.adapter(["--rank", "2"], name: "out/")
      #expect(!FileManager.default.fileExists(atPath: workspace.outputPath + ".partial"))
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: workspace.outputPath).sorted()
          == ["README.md", "adapter_config.json", "adapter_model.safetensors", "report.json"])
    }

    @Test("a job that fails leaves no parent folders behind either")
    func parents() throws {
      var pair = ModelPair.small()
      pair.tuned.set(Name.up + ".weight", at: 0, to: .nan)
      let workspace = try Workspace(pair)
      let before = workspace.folder.contents
      let result = try Workspace.run(
        ["extract", workspace.basePath, workspace.tunedPath, "-o", workspace.folder.file("new/deep/out")])
      #expect(result.status == 65)
      #expect(workspace.folder.contents == before)
    }

    @Test("a second job on an output that another one fills is refused and harms nothing")
    func locked() throws {
      let workspace = try Workspace()
      _ = try workspace.folder.makeFolder("out.partial/contents")
      try workspace.folder.write("half".utf8, to: "out.partial/contents/adapter_model.safetensors.tmp")
      let owner = """
        {"beat":0,"host":"node7","process":12,"since":"2026-11-21T10:00:00Z",
          "token":"00000000-0000-0000-0000-000000000000"}
        """
      try workspace.folder.write(owner.utf8, to: "out.partial/lock")
      let lock = open(workspace.folder.file("out.partial/lock"), O_RDWR | O_CLOEXEC)
      defer { close(lock) }
      try #require(flock(lock, LOCK_EX | LOCK_NB) == 0)
      try workspace.expectRefusal(
        "{out}.partial: another job is filling this folder (process 12 on node7, since 2026-11-21T10:00:00Z); "
          + "give another with -o")
    }

    @Test("a place that cannot be written to is refused with the system's reason")
    func unwritable() throws {
      let workspace = try Workspace()
      let path = workspace.basePath + "/config.json/out"
      let result = try Workspace.run(["extract", workspace.basePath, workspace.tunedPath, "-o", path])
      #expect(result.status == 74)
      #expect(result.errorOutput == "unbraid: \(path).partial: cannot create: Not a directory\n")
    }

    @Test("so is one on a read-only file system", .enabled(if: TemporaryMount.isPermitted, "needs mount(8)"))
    func readOnly() throws {
      let workspace = try Workspace()
      let mount = try TemporaryMount(options: "ro", in: workspace.folder)
      let result = try Workspace.run(
        ["extract", workspace.basePath, workspace.tunedPath, "-o", mount.path + "/out"])
      #expect(result.status == 74)
      #expect(
        result.errorOutput == "unbraid: \(mount.path)/out.partial: cannot create: Read-only file system\n")
    }
  }
}
