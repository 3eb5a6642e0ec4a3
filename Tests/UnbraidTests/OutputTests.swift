import Foundation
import Glibc
import TestSupport
import Testing

extension UnbraidSuite {
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
        "{out}: the output folder already holds 4 entries; remove it or give another with -o")
    }

    @Test("a file under the output's name is refused and kept")
    func isFile() throws {
      let workspace = try Workspace()
      try workspace.folder.write("mine".utf8, to: "out")
      try workspace.expectRefusal("{out}: is a file; give a folder to be made with -o")
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
      let partial = try workspace.folder.makeFolder("out.partial")
      try workspace.folder.write("half".utf8, to: "out.partial/adapter_model.safetensors.tmp")
      let lock = open(partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      defer { close(lock) }
      try #require(flock(lock, LOCK_EX | LOCK_NB) == 0)
      try workspace.expectRefusal("{out}.partial: another job is filling this folder; give another with -o")
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

    @Test(
      "a disk that fills up during the factors or the documents ends the job with 74 and harms nothing",
      .enabled(if: TemporaryMount.isPermitted, "needs mount(8)"),
      arguments: [16, 32, 40, 48])
    func fullDisk(kilobytes: Int) throws {
      let workspace = try Workspace(.small(layers: 8))
      let mount = try TemporaryMount(options: "size=\(kilobytes)k", in: workspace.folder)
      try workspace.folder.write("finished".utf8, to: "mount/other")
      let result = try Workspace.run(
        ["extract", workspace.basePath, workspace.tunedPath, "-o", mount.path + "/out", "--rank", "4"])
      #expect(result.status == 74)
      #expect(result.sentences.count == 1)
      #expect(result.errorOutput.hasPrefix("unbraid: \(mount.path)/out.partial/"))
      #expect(result.errorOutput.hasSuffix(": cannot write: No space left on device\n"))
      #expect(try FileManager.default.contentsOfDirectory(atPath: mount.path) == ["other"])
      #expect(try String(contentsOfFile: mount.path + "/other", encoding: .utf8) == "finished")
    }
  }
}

/// A small file system in memory, mounted as `mount` in a test's folder for the time of the test.
private final class TemporaryMount {
  let path: String
  /// Kept, so that it is removed after the mount.
  private let folder: TemporaryFolder

  /// Whether this process may mount at all: root in a machine or container of its own.
  static let isPermitted: Bool = {
    guard let folder = try? TemporaryFolder(), (try? TemporaryMount(options: "size=4k", in: folder)) != nil
    else { return false }
    return true
  }()

  init(options: String, in folder: TemporaryFolder) throws {
    self.folder = folder
    path = try folder.makeFolder("mount")
    let result = try ProcessRunner.run("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path])
    try #require(result.status == 0, "\(result.errorOutput)")
  }

  deinit { _ = try? ProcessRunner.run("umount", [path]) }
}
