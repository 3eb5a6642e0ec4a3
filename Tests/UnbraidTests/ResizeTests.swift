import Checkpoints
import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  @Suite struct ResizeTests {
    /// Singular values 8, 4, 4, 2 of scale · B·A: energies 64, 16, 16, 4 of 100, a norm of 10 and a sum of 18.
    private static func adapter() -> LoRAFixture {
      var adapter = LoRAFixture()
      adapter.fields = ["r": "4", "lora_alpha": "8", "target_modules": #"["up_proj"]"#]
      // Each column of B and row of A has one entry: the decomposition is exact.
      var (a, b) = ([Double](repeating: 0, count: 4 * 32), [Double](repeating: 0, count: 48 * 4))
      for (index, value) in [4.0, 2, 2, 1].enumerated() {
        a[index * 32 + 3 * index] = 1
        b[(10 + index) * 4 + index] = value
      }
      adapter.add("\(Name.up).lora_A.weight", [4, 32], a)
      adapter.add("\(Name.up).lora_B.weight", [48, 4], b)
      return adapter
    }

    @Test(
      "ranks at exact thresholds and on either side of them",
      arguments: [
        (["--rank", "3"], 3), (["--rank", "9"], 4), (["--energy", "0.64"], 1), (["--energy", "0.6401"], 2),
        (["--energy", "0.8"], 2), (["--energy", "0.96"], 3), (["--energy", "0.9601"], 4),
        (["--energy", "1"], 4),
        (["--sv-fro", "0.799"], 1), (["--sv-fro", "0.801"], 2), (["--sv-ratio", "2"], 1),
        (["--sv-ratio", "2.01"], 3),
        (["--sv-ratio", "4"], 3), (["--sv-ratio", "4.01"], 4), (["--epsilon", "2"], 3),
        (["--epsilon", "1.99"], 4),
        (["--sv-cumulative", "0.4444"], 1), (["--sv-cumulative", "0.4445"], 2),
        (["--rank-fraction", "0.0625"], 2),
        (["--sv-ratio", "2", "--compat", "kohya"], 2), (["--energy", "0.96", "--rank", "2"], 2),
        (["--budget-parameters", "160"], 2), (["--budget", "959"], 2), (["--budget", "960"], 3),
      ])
    func thresholds(options: [String], rank: Int) throws {
      let folder = try TemporaryFolder()
      try Self.adapter().write(to: folder.file("adapter"))
      let resized = try Self.resize(folder, options)
      let (a, b) = try #require(resized.factors)
      #expect(a.shape == [rank, 32] && b.shape == [48, rank])
      #expect(
        resized.configuration["r"] as? Int == rank && resized.configuration["lora_alpha"] as? Int == rank)
      #expect(resized.configuration["target_modules"] as? [String] == ["up_proj"])
      let kept = [8.0, 4, 4, 2].prefix(rank)
      let found = LoRAFixture(tensors: [a, b]).product(Name.up)
      #expect(abs(found.reduce(0) { $0 + $1 * $1 } - kept.reduce(0) { $0 + $1 * $1 }) < 1e-4)
    }

    @Test("all else stays: saved tensors, biases at the new scale, types, the base model's name")
    func otherFields() throws {
      let folder = try TemporaryFolder()
      var adapter = Self.adapter()
      adapter.tensors = adapter.tensors.map {
        FixtureTensor($0.name, .bf16, shape: $0.shape, $0.values)
      }
      adapter.add("\(Name.up).lora_B.bias", [48], (0..<48).map { Double($0) }, .bf16)
      adapter.add("\(Name.norm).weight", [16], (0..<16).map { Double($0) })
      adapter.fields.merge([
        "base_model_name_or_path": #""hub/base""#, "task_type": #""CAUSAL_LM""#, "lora_bias": "true",
        "modules_to_save": #"["input_layernorm"]"#,
      ]) { $1 }
      try adapter.write(to: folder.file("adapter"))
      let resized = try Self.resize(folder, ["--rank", "2"])
      #expect(
        resized.tensors["base_model.model.\(Name.norm).weight"]?.bytes
          == adapter["\(Name.norm).weight"]?.bytes)
      let bias = resized.tensors["base_model.model.\(Name.up).lora_B.bias"]
      #expect(bias?.values == (0..<48).map { 2 * Double($0) })
      #expect(resized.factors?.a.elementType == .bf16)
      for (field, text) in [("base_model_name_or_path", "hub/base"), ("task_type", "CAUSAL_LM")] {
        #expect(resized.configuration[field] as? String == text)
      }
      #expect(resized.configuration["modules_to_save"] as? [String] == ["input_layernorm"])
    }

    @Test("a module that the rules leave nothing is left out, and the targets name the others")
    func leftOut() throws {
      let folder = try TemporaryFolder()
      var adapter = Self.adapter()
      adapter.fields["target_modules"] = #"["up_proj","q_proj"]"#
      adapter.add("\(Name.query).lora_A.weight", [4, 16], Array(repeating: 0.001, count: 64))
      adapter.add("\(Name.query).lora_B.weight", [24, 4], Array(repeating: 0.001, count: 96))
      try adapter.write(to: folder.file("adapter"))
      let resized = try Self.resize(folder, ["--epsilon", "1"])
      #expect(resized.tensors.keys.allSatisfy { $0.contains(Name.up) })
      #expect(resized.configuration["target_modules"] as? [String] == [Name.up])
    }

    @Test(
      "what cannot be done is refused",
      arguments: [
        ([], 64, "Error: nothing is to be changed; give --rank, --energy or another rule"),
        (["--gavish-donoho"], 64, "Error: --noise-floor and --gavish-donoho tell noise from a fine-tune's"),
        (["--energy", "1.5"], 64, "Error: --energy is 1.5; give a number above 0 and at most 1"),
        (
          ["--epsilon", "9"], 64,
          "unbraid: {adapter}: the rules leave no singular value in any of the 1 modules;"
        ),
        (["--keep", "zzz:0"], 64, "unbraid: --keep 'zzz' matches none of the 1 modules"),
        (
          ["--scale", "1e80"], 65,
          "unbraid: module 'model.layers.0.mlp.up_proj': an entry of its factors is inf, beyond the range of f32; scale it by less"
        ),
      ])
    func refusals(options: [String], status: Int32, sentence: String) throws {
      let folder = try TemporaryFolder()
      try Self.adapter().write(to: folder.file("adapter"))
      let result = try Workspace.run(
        ["resize", folder.file("adapter"), "-o", folder.file("out")] + options)
      #expect(result.status == status)
      #expect(
        result.errorOutput.hasPrefix(sentence.replacing("{adapter}", with: folder.file("adapter"))),
        "\(result.errorOutput)")
      #expect(folder.contents.allSatisfy { !$0.hasPrefix("out") })
    }

    @Test("adapters that are none are refused with 65")
    func noAdapter() throws {
      let folder = try TemporaryFolder()
      _ = try folder.makeFolder("empty")
      let result = try Workspace.run([
        "resize", folder.file("empty"), "-o", folder.file("out"), "--rank", "2",
      ])
      #expect(result.status == 65)
      #expect(
        result.errorOutput
          == "unbraid: \(folder.file("empty")): holds no adapter_config.json; give the folder of a PEFT adapter\n"
      )
    }

    /// What a resizing wrote.
    private struct Resized {
      let tensors: [String: FixtureTensor]
      let configuration: [String: Any]

      var factors: (a: FixtureTensor, b: FixtureTensor)? {
        let prefix = "base_model.model.\(Name.up)."
        guard let a = tensors[prefix + "lora_A.weight"], let b = tensors[prefix + "lora_B.weight"] else {
          return nil
        }
        return (a, b)
      }
    }

    private static func resize(_ folder: TemporaryFolder, _ options: [String]) throws -> Resized {
      let output = folder.file("out")
      let result = try Workspace.run(["resize", folder.file("adapter"), "-o", output] + options)
      try #require(result.status == 0, "\(result.errorOutput)")
      let bytes = try Data(contentsOf: URL(filePath: output + "/adapter_config.json"))
      return Resized(
        tensors: try RawSafetensors.read(output + "/adapter_model.safetensors"),
        configuration: try JSONSerialization.jsonObject(with: bytes) as? [String: Any] ?? [:])
    }
  }
}
