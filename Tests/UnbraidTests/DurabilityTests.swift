import Foundation
import TestSupport
import Testing

extension TroubleSuite {
  /// What a crash of the machine would leave cannot be tried here; in which order the program asks for durability can.
  @Suite struct DurabilityTests {
    @Test("a name is given only to what is durable, and is durable itself before the next step")
    func namesAfterContents() throws {
      let workspace = try Workspace()
      let log = workspace.folder.file("calls")
      let result = try ProcessRunner.run(
        BuiltProduct.path(of: "unbraid"),
        ["extract", workspace.basePath, workspace.tunedPath, "-o", workspace.outputPath, "--rank", "4"],
        environment: ["CALL_LOG": log, "LD_PRELOAD": BuiltProduct.path(of: "libCallLog.so")])
      try #require(result.status == 0)
      let calls = try Call.read(log)
      let renames = calls.indices.filter { calls[$0].name == "rename" }
      // The journal's description and segments, the adapter's four files, and the folder itself.
      try #require(renames.count >= 7)
      for index in renames {
        let (old, new) = (calls[index].paths[0], calls[index].paths[1])
        let isDurable = calls[..<index].contains { $0.name == "fsync" && $0.paths == [old] }
        #expect(isDurable, "\(new) got its name before its contents were durable")
        let parent = URL(filePath: new).deletingLastPathComponent().path
        let next = calls[(index + 1)...].first
        #expect(
          next?.name == "fsync" && next?.paths == [parent], "the name \(new) was not made durable at once")
      }
      let published = try #require(renames.last.map { calls[$0].paths })
      #expect(published == [workspace.outputPath + ".partial/contents", workspace.outputPath])
    }
  }
}

/// A call that the preloaded library has logged.
private struct Call {
  let name: String
  let paths: [String]

  static func read(_ path: String) throws -> [Call] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { line in
      let fields = line.split(separator: "\t").map(String.init)
      return Call(name: fields[0], paths: Array(fields.dropFirst()))
    }
  }
}
