import Checkpoints
import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// `unbraid convert` of what LoRA-XS trained.
  @Suite struct LatentConversionTests {
    private static let mapping = "base_model.model.\(Name.query)_lora_latent_mapping.weight"

    /// An initialisation of one layer, and its adapter with another mapping.
    private func trained(_ type: ElementType = .f32, _ values: [Double] = [2, 1, 0, -1]) throws -> Workspace {
      let workspace = try Workspace()
      let result = try Workspace.run([
        "init", workspace.basePath, "--as", "lora-xs", "--rank", "2", "--include", "layers.0.*q_proj", "-o",
        workspace.outputPath,
      ])
      try #require(result.status == 0, "\(result.errorOutput)")
      let initial = workspace.outputPath + "/adapter"
      var tensors = try RawSafetensors.read(initial + "/adapter_model.safetensors")
      tensors[Self.mapping] = FixtureTensor(Self.mapping, type, shape: [2, 2], values)
      _ = try workspace.folder.makeFolder("trained")
      try workspace.folder.write(
        RawSafetensors.file(tensors.values.sorted { $0.name < $1.name }),
        to: "trained/adapter_model.safetensors")
      try FileManager.default.copyItem(
        atPath: initial + "/adapter_config.json", toPath: workspace.folder.file("trained/adapter_config.json")
      )
      return workspace
    }

    private func convert(_ workspace: Workspace, from origin: String? = nil, _ options: [String] = []) throws
      -> ProcessResult
    {
      try Workspace.run(
        [
          "convert", workspace.folder.file("trained"), origin ?? workspace.outputPath, "-o",
          workspace.folder.file("plain"),
        ] + options)
    }

    @Test("the mapping goes into B, whether FROM is the initialisation or the initial adapter alone")
    func folded() throws {
      let workspace = try trained()
      let before = try RawSafetensors.read(workspace.folder.file("trained/adapter_model.safetensors"))
      let b = "base_model.model.\(Name.query).lora_B.weight"
      let old = try #require(before[b])
      let expected = old.times(FixtureTensor("R", .f64, shape: [2, 2], [2, 1, 0, -1]))
      for origin in [workspace.outputPath, workspace.outputPath + "/adapter"] {
        let result = try convert(workspace, from: origin)
        try #require(result.status == 0, "\(result.errorOutput)")
        #expect(result.output.hasSuffix(": 1 modules, rank 2, the latent matrices folded into B\n"))
        let plain = try RawSafetensors.read(workspace.folder.file("plain/adapter_model.safetensors"))
        #expect(plain.count == 2)
        for (value, wanted) in zip(try #require(plain[b]).values, expected) {
          #expect(abs(value - wanted) < 1e-6)
        }
        try FileManager.default.removeItem(atPath: workspace.folder.file("plain"))
      }
      let rounded = try convert(workspace, ["--factor-dtype", "bf16"])
      #expect(rounded.output.hasSuffix("folded into B, 100.00 % of the update's energy kept\n"))
    }

    @Test("a mapping that is no matrix of numbers is refused by name")
    func unfit() throws {
      for (type, values, sentence) in [
        (ElementType.f32, [1, .nan, 0, 1], "'\(Self.mapping)' is nan at [0, 1]"),
        (.i64, [1, 0, 0, 1], "'\(Self.mapping)' is stored as I64"),
      ] as [(ElementType, [Double], String)] {
        let workspace = try trained(type, values)
        let result = try convert(workspace)
        #expect(result.status == 65 && result.errorOutput.contains(sentence), "\(result.errorOutput)")
        #expect(!FileManager.default.fileExists(atPath: workspace.folder.file("plain")))
      }
    }

    @Test("a mapping beside another method's initialisation is refused")
    func foreign() throws {
      let workspace = try trained()
      let other = workspace.folder.file("pissa")
      let made = try Workspace.run([
        "init", workspace.basePath, "--as", "pissa", "--rank", "2", "--include", "layers.0.*q_proj", "-o",
        other,
      ])
      try #require(made.status == 0)
      let result = try convert(workspace, from: other)
      #expect(
        result.status == 65
          && result.errorOutput.contains("holds '\(Self.mapping)', which LoRA-XS trains"),
        "\(result.errorOutput)")
    }
  }
}
