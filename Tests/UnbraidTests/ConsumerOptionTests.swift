import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// `--for` and `--project-out` where an adapter is made.
  @Suite struct ConsumerOptionTests {
    private func run(_ arguments: [String]) throws -> ProcessResult {
      let result = try Workspace.run(arguments)
      try #require(result.status == 0, "\(result.errorOutput)")
      return result
    }

    @Test(
      "extract and adapter write for a consumer what export writes afterwards", arguments: ["vllm", "mlx"])
    func sameAsExport(profile: String) throws {
      let workspace = try Workspace(JointPair.noise())
      let file = { workspace.folder.file($0) }
      let pair = [workspace.basePath, workspace.tunedPath]
      _ = try run(["extract"] + pair + ["-o", file("plain"), "--rank", "3"])
      _ = try run(["export", file("plain"), "--for", profile, "-o", file("exported")])
      _ = try run(["extract"] + pair + ["-o", file("direct"), "--rank", "3", "--for", profile])
      _ = try run(["decompose"] + pair + ["-o", file("triplets"), "--rank", "4"])
      _ = try run(["adapter", file("triplets"), "-o", file("made"), "--rank", "3", "--for", profile])
      let tensors = profile == "mlx" ? "adapters.safetensors" : "adapter_model.safetensors"
      func bytes(_ folder: String, _ name: String) throws -> Data {
        try Data(contentsOf: URL(filePath: file(folder) + "/" + name))
      }
      let expected = try bytes("exported", tensors)
      #expect(try bytes("direct", tensors) == expected)
      #expect(try bytes("direct", "adapter_config.json") == bytes("exported", "adapter_config.json"))
      let names = try ["made", "exported"].map { Set(try RawSafetensors.read(file($0) + "/" + tensors).keys) }
      #expect(names[0] == names[1])
      for folder in ["direct", "made"] {
        #expect(workspace.folder.contents.contains(folder + "/report.json"))
        #expect(workspace.folder.contents.contains(folder + "/README.md") == (profile == "vllm"))
      }
      #expect(!workspace.folder.contents.contains { $0.contains("partial") || $0.contains("remade") })
    }

    @Test("what a consumer could not get is refused before the work")
    func refusedEarly() throws {
      let workspace = try Workspace(JointPair.noise())
      let configuration = #"{"architectures":["Strange"],"model_type":"strange"}"#
      for model in ["base", "tuned"] {
        try workspace.folder.write(Data(configuration.utf8), to: model + "/config.json")
      }
      let result = try workspace.extract(["--for", "llama.cpp"])
      #expect(result.status == 65 && result.errorOutput.contains("the base model's type is 'strange'"))
      #expect(!workspace.folder.contents.contains { $0.hasPrefix("out") })
    }

    @Test(
      "an adapter of triplets or of components has nothing of another one", arguments: ["decompose", "joint"])
    func projectOut(command: String) throws {
      let workspace = try Workspace(JointPair.noise())
      let file = { workspace.folder.file($0) }
      let pair = [workspace.basePath, workspace.tunedPath]
      _ = try run(["extract"] + pair + ["-o", file("strongest"), "--rank", "1"])
      let options = command == "joint" ? ["--no-compare"] : []
      _ = try run([command] + pair + ["-o", file("parts"), "--rank", "4"] + options)
      let made = try run(["adapter", file("parts"), "-o", file("made"), "--project-out", file("strongest")])
      #expect(made.errorOutput.contains("--project-out changes "))
      let compared = try run(["overlap", file("made"), file("strongest")])
      #expect(
        compared.output.contains(
          "energy of A in B's subspaces: out 0.0000, in 0.0000, both 0.0000; by chance"))
    }
  }
}
