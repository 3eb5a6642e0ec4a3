import Checkpoints
import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  @Suite struct GraftTests {
    @Test("the chosen layers are the fine-tune's, all else the base model's, bit for bit", arguments: [1, 3])
    func layers(shardCount: Int) throws {
      let pair = ModelPair.small(layers: 5, .bf16)
      let workspace = try Workspace(pair, shardCount: shardCount)
      let result = try Self.graft(workspace, "1-2,4-")
      #expect(result.status == 0, "\(result.errorOutput)")
      #expect(result.output.contains(": 12 of 22 tensors changed, "))
      let grafted = try modelTensors(workspace.outputPath)
      #expect(grafted.count == pair.base.tensors.count)
      for tensor in pair.base.tensors {
        let isChosen = ["layers.1.", "layers.2.", "layers.4."].contains { tensor.name.contains($0) }
        let source = isChosen ? pair.tuned[tensor.name] : tensor
        #expect(grafted[tensor.name]?.bytes == source.bytes, "\(tensor.name)")
      }
      let files = FileManager.default.subpaths(atPath: workspace.outputPath) ?? []
      #expect(files.contains("config.json"))
      #expect(files.count { $0.hasSuffix(".safetensors") } == shardCount)
    }

    @Test("two models that are not of one architecture are refused, and layers that are not there")
    func refusals() throws {
      var shape = ModelPair.small()
      shape.tuned[Name.up + ".weight"] = FixtureTensor(
        Name.up + ".weight", .f32, shape: [2, 2], [1, 2, 3, 4])
      var missing = ModelPair.small()
      missing.tuned.remove(Name.norm + ".weight")
      var family = ModelPair.small()
      family.tuned.configuration = family.tuned.configuration?.replacing("\"llama\"", with: "\"qwen2\"")
      let cases: [(ModelPair, String, Int32, String)] = [
        (
          .small(), "2", 64,
          "{base}: there is no layer 2, the last one is 1; numbers begin at 0, and a range has both its ends"
        ),
        (
          shape, "0", 65,
          "tensor '\(Name.up).weight' is F32 [48, 32] in the base model and F32 [2, 2] in the fine-tuned one; graft "
            + "copies tensors as they are, so convert one of the models first"
        ),
        (
          missing, "0", 65,
          "tensor '\(Name.norm).weight' is in {base} only; graft needs two models of one architecture"
        ),
        (
          family, "0", 65,
          "{tuned}: its config.json says model_type is qwen2, and that of {base} says llama; graft needs two models of "
            + "one architecture"
        ),
      ]
      for (pair, layers, status, sentence) in cases {
        let workspace = try Workspace(pair)
        let result = try Self.graft(workspace, layers)
        #expect(result.status == status)
        #expect(result.errorOutput == "unbraid: \(workspace.filled(sentence))\n")
        #expect(workspace.folder.contents.allSatisfy { !$0.hasPrefix("out") })
      }
      // A layer that is not chosen may differ.
      #expect(try Self.graft(Workspace(shape), "1").status == 0)
    }

    @Test("numbers that are none are refused", arguments: ["x", "3-1", "none", ""])
    func numbers(_ text: String) throws {
      let result = try Workspace.run(["graft", "a", "b", "--layers", text, "-o", "nowhere-out"])
      #expect(result.status == 64)
      #expect(
        result.errorOutput.hasPrefix("Error: --layers is '\(text)'; give numbers such as 16-23 or 0-3,20-\n"))
    }

    private static func graft(_ workspace: Workspace, _ layers: String) throws -> ProcessResult {
      try Workspace.run([
        "graft", workspace.basePath, workspace.tunedPath, "--layers", layers, "-o", workspace.outputPath,
      ])
    }
  }
}
