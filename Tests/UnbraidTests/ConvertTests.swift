import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  @Suite struct ConvertTests {
    /// A PiSSA of the fixture, and a copy of its adapter with every number of every A changed, as by training.
    private func trained(_ workspace: Workspace, change: (inout FixtureTensor) -> Void = { _ in }) throws
      -> String
    {
      let result = try Workspace.run(
        ["init", workspace.basePath, "--as", "pissa", "--rank", "3", "-o", workspace.outputPath])
      try #require(result.status == 0, "\(result.errorOutput)")
      let initial = workspace.outputPath + "/adapter"
      var random = SplitMix64(state: 8)
      let tensors = try RawSafetensors.read(initial + "/adapter_model.safetensors").values
        .sorted { $0.name < $1.name }
        .map { tensor in
          var tensor = FixtureTensor(
            tensor.name, shape: tensor.shape, tensor.values.map { $0 + 0.1 * random.nextUniform() })
          change(&tensor)
          return tensor
        }
      _ = try workspace.folder.makeFolder("trained")
      try workspace.folder.write(RawSafetensors.file(tensors), to: "trained/adapter_model.safetensors")
      try FileManager.default.copyItem(
        atPath: initial + "/adapter_config.json", toPath: workspace.folder.file("trained/adapter_config.json")
      )
      return workspace.folder.file("trained")
    }

    private func convert(_ workspace: Workspace, _ trained: String, _ options: [String] = []) throws
      -> ProcessResult
    {
      try Workspace.run(
        ["convert", trained, workspace.outputPath, "-o", workspace.folder.file("plain")] + options)
    }

    @Test("the trained factors and the initial ones stand side by side, bit for bit")
    func stacked() throws {
      let workspace = try Workspace()
      let path = try trained(workspace)
      let result = try convert(workspace, path, ["--base-name", "org/base"])
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect(result.output == "\(workspace.folder.file("plain")): 4 modules, rank 6, exact\n")
      let now = try RawSafetensors.read(path + "/adapter_model.safetensors")
      let before = try RawSafetensors.read(workspace.outputPath + "/adapter/adapter_model.safetensors")
      let plain = try RawSafetensors.read(workspace.folder.file("plain/adapter_model.safetensors"))
      #expect(plain.count == 8)
      for (name, tensor) in plain {
        let (new, old) = (try #require(now[name]), try #require(before[name]))
        if name.hasSuffix("lora_A.weight") {
          #expect(tensor.bytes == new.bytes + old.bytes)
        } else {
          for row in 0..<tensor.shape[0] {
            #expect(
              Array(tensor.values[row * 6..<row * 6 + 6])
                == new.values[row * 3..<row * 3 + 3] + old.values[row * 3..<row * 3 + 3].map { -$0 })
          }
        }
      }
      let data = try Data(contentsOf: URL(filePath: workspace.folder.file("plain/adapter_config.json")))
      let fields = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
      #expect(fields["r"] as? Int == 6 && fields["lora_alpha"] as? Double == 6)
      #expect(fields["base_model_name_or_path"] as? String == "org/base")
    }

    @Test("factors that are rounded are not called exact: what is left of the update is measured")
    func rounded() throws {
      let workspace = try Workspace()
      let path = try trained(workspace)
      let result = try convert(workspace, path, ["--factor-dtype", "bf16"])
      try #require(result.status == 0, "\(result.errorOutput)")
      let plain = try RawSafetensors.read(workspace.folder.file("plain/adapter_model.safetensors"))
      let now = try RawSafetensors.read(path + "/adapter_model.safetensors")
      let before = try RawSafetensors.read(workspace.outputPath + "/adapter/adapter_model.safetensors")
      func product(_ tensors: [String: FixtureTensor], _ name: String) throws -> [Double] {
        try #require(tensors[name.replacing("lora_A", with: "lora_B")]).times(try #require(tensors[name]))
      }
      var (energy, lost) = (0.0, 0.0)
      for name in plain.keys where name.hasSuffix("lora_A.weight") {
        let update = zip(try product(now, name), try product(before, name)).map { $0 - $1 }
        energy += update.reduce(0) { $0 + $1 * $1 }
        lost += zip(update, try product(plain, name)).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      }
      let kept = String(format: "%.2f", 100 * (1 - lost / energy))
      #expect(kept != "100.00")
      #expect(
        result.output
          == "\(workspace.folder.file("plain")): 4 modules, rank 6, \(kept) % of the update's energy kept\n")
    }

    @Test("what was trained whole keeps its name and its place in the configuration")
    func wholeTensors() throws {
      let workspace = try Workspace()
      let path = try trained(workspace)
      let others = [
        FixtureTensor("base_model.model.lm_head.weight", shape: [40, 16], (0..<640).map(Double.init)),
        FixtureTensor(
          "base_model.model.\(Name.query).base_layer.bias", shape: [24], (0..<24).map(Double.init)),
      ]
      let factors = try RawSafetensors.read(path + "/adapter_model.safetensors").values
      try workspace.folder.write(
        RawSafetensors.file(factors.sorted { $0.name < $1.name } + others),
        to: "trained/adapter_model.safetensors")
      let url = URL(filePath: path + "/adapter_config.json")
      var fields =
        try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any] ?? [:]
      fields["modules_to_save"] = ["lm_head"]
      fields["bias"] = "lora_only"
      fields["ensure_weight_tying"] = true
      try JSONSerialization.data(withJSONObject: fields).write(to: url)
      let result = try convert(workspace, path)
      try #require(result.status == 0, "\(result.errorOutput)")
      let plain = try RawSafetensors.read(workspace.folder.file("plain/adapter_model.safetensors"))
      #expect(plain.count == 10)
      for tensor in others { #expect(plain[tensor.name]?.bytes == tensor.bytes, "\(tensor.name)") }
      let data = try Data(contentsOf: URL(filePath: workspace.folder.file("plain/adapter_config.json")))
      let new = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
      #expect(new["modules_to_save"] as? [String] == ["lm_head"] && new["bias"] as? String == "lora_only")
      #expect(new["ensure_weight_tying"] as? Bool == true)
    }

    @Test("cut to a rank, the energy that is kept is said")
    func cut() throws {
      let workspace = try Workspace()
      let result = try convert(workspace, try trained(workspace), ["--rank", "2"])
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect(result.output.contains("4 modules, rank 2, "))
      #expect(result.output.contains(" % of the update's energy kept"))
      let plain = try RawSafetensors.read(workspace.folder.file("plain/adapter_model.safetensors"))
      #expect(plain["base_model.model.\(Name.query).lora_A.weight"]?.shape == [2, 16])
      #expect(try Workspace.run(["convert", "a", "b", "-o", "c", "--rank", "0"]).status == 64)
    }

    @Test("what does not belong together is refused by name")
    func refusals() throws {
      let workspace = try Workspace()
      let path = try trained(workspace)
      let configuration = path + "/adapter_config.json"
      let text = try String(contentsOfFile: configuration, encoding: .utf8)
      try text.replacing("\"lora_alpha\" : 3", with: "\"lora_alpha\" : 6")
        .write(toFile: configuration, atomically: true, encoding: .utf8)
      #expect(try convert(workspace, path).errorOutput.contains("is scaled by 2.0, but began with 1.0"))
      try text.write(toFile: configuration, atomically: true, encoding: .utf8)

      let part = try RawSafetensors.read(path + "/adapter_model.safetensors").values
        .filter { !$0.name.contains(Name.query) }.sorted { $0.name < $1.name }
      try workspace.folder.write(RawSafetensors.file(part), to: "trained/adapter_model.safetensors")
      let missing = try convert(workspace, path)
      #expect(missing.status == 65)
      #expect(missing.errorOutput.contains("has no module '\(Name.query)', which "))

      let nowhere = try Workspace.run(
        ["convert", path, workspace.basePath, "-o", workspace.folder.file("plain")])
      #expect(nowhere.status == 65 && nowhere.errorOutput.contains("has neither initialisation.json nor"))
      #expect(!FileManager.default.fileExists(atPath: workspace.folder.file("plain")))
      #expect(!FileManager.default.fileExists(atPath: workspace.folder.file("plain.partial")))
    }
  }
}
