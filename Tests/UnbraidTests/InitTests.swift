import Checkpoints
import Foundation
import Glibc
import TestSupport
import Testing

extension UnbraidSuite {
  @Suite struct InitTests {
    private func initialise(
      _ workspace: Workspace, _ options: [String], ranks: Int? = nil, output: String? = nil
    ) throws -> ProcessResult {
      try Workspace.run(
        ["init", workspace.basePath, "-o", output ?? workspace.outputPath] + options, ranks: ranks)
    }

    /// A file of second moments for every linear module of the fixture.
    private func writeCovariances(
      _ workspace: Workspace, layers: Int = 2, changing: (inout [FixtureTensor]) -> Void = { _ in }
    ) throws -> String {
      var random = SplitMix64(state: 3)
      var tensors: [FixtureTensor] = []
      for tensor in ModelPair.small(layers: layers).base.tensors where tensor.name.hasSuffix("_proj.weight") {
        let order = tensor.shape[1]
        let inputs = (0..<4 * order * order).map { _ in random.nextUniform() }
        let moments = (0..<order * order).map { index in
          (0..<4 * order).reduce(0) {
            $0 + inputs[$1 * order + index / order] * inputs[$1 * order + index % order]
          }
        }
        tensors.append(FixtureTensor(String(tensor.name.dropLast(7)), shape: [order, order], moments))
      }
      changing(&tensors)
      let path = workspace.folder.file("covariances.safetensors")
      try workspace.folder.write(RawSafetensors.file(tensors), to: "covariances.safetensors")
      return path
    }

    /// All files of a folder by name.
    private func files(_ path: String) throws -> [String: Data] {
      try Dictionary(
        uniqueKeysWithValues: (FileManager.default.subpaths(atPath: path) ?? []).compactMap { name in
          var isFolder: ObjCBool = false
          _ = FileManager.default.fileExists(atPath: path + "/" + name, isDirectory: &isFolder)
          return isFolder.boolValue ? nil : (name, try Data(contentsOf: URL(filePath: path + "/" + name)))
        })
    }

    /// The same, with the folder's own path made the same for all.
    private func comparable(_ path: String) throws -> [String: Data] {
      try files(path).mapValues { data in
        guard let text = String(data: data, encoding: .utf8) else { return data }
        return Data(text.replacing(path, with: "{out}").utf8)
      }
    }

    /// B·A for each module of an adapter.
    private func products(_ path: String) throws -> [String: [Double]] {
      let tensors = try RawSafetensors.read(path + "/adapter_model.safetensors")
      var products: [String: [Double]] = [:]
      for (name, a) in tensors where name.hasSuffix(".lora_A.weight") {
        let module = String(name.dropFirst("base_model.model.".count).dropLast(".lora_A.weight".count))
        let b = try #require(tensors[name.replacing("lora_A", with: "lora_B")])
        products[module] = matrixProduct(b.values, a.values, inner: a.shape[0])
      }
      return products
    }

    private func matrixProduct(_ left: [Double], _ right: [Double], inner: Int) -> [Double] {
      let (rows, columns) = (left.count / inner, right.count / inner)
      return (0..<rows * columns).map { index in
        (0..<inner).reduce(0) {
          $0 + left[index / columns * inner + $1] * right[$1 * columns + index % columns]
        }
      }
    }

    @Test(
      "residual model and adapter add up to the model, the same bytes on every number of ranks",
      arguments: zip(["pissa", "milora", "olora", "corda"], [1, 3, 1, 3]))
    func residual(method: String, shardCount: Int) throws {
      let pair = ModelPair.small(layers: 3, .bf16)
      let workspace = try Workspace(pair, shardCount: shardCount)
      var options = ["--as", method, "--rank", "3"]
      // Rounding the factors moves their product by as much as the weights are rounded: the residual must know.
      if shardCount == 1 { options += ["--factor-dtype", "bf16"] }
      if method == "corda" { options += ["--covariance", try writeCovariances(workspace, layers: 3)] }
      let first = try initialise(workspace, options)
      try #require(first.status == 0, "\(first.errorOutput)")
      #expect(first.output.hasPrefix("\(workspace.outputPath): \(method) of 6 modules, rank 3, "))
      let residual = try Checkpoint.open(workspace.outputPath).tensors.mapValues {
        fixtureValues(try $0.bytes(), $0.elementType)
      }
      let products = try products(workspace.outputPath + "/adapter")
      #expect(products.count == 6)
      for tensor in pair.base.tensors {
        let left = try #require(residual[tensor.name])
        guard let product = products[String(tensor.name.dropLast(7))] else {
          #expect(left == tensor.values)
          continue
        }
        for (index, value) in tensor.values.enumerated() {
          // Half a unit of eight binary digits.
          #expect(abs(left[index] + product[index] - value) <= abs(left[index]) * 0x1p-8 + 1e-9)
        }
        #expect(left != tensor.values)
      }
      for ranks in [2, 3] {
        let path = workspace.folder.file("ranks\(ranks)")
        let result = try initialise(workspace, options, ranks: ranks, output: path)
        try #require(result.status == 0, "\(result.errorOutput)")
        #expect(try comparable(path) == comparable(workspace.outputPath), "\(ranks) ranks")
      }
    }

    @Test(
      "the configuration makes PEFT take the factors as they are, at a scale of 1, and names the residual model"
    )
    func configuration() throws {
      let workspace = try Workspace()
      let result = try initialise(workspace, ["--as", "pissa", "--rank", "20", "--targets", "q_proj"])
      try #require(result.status == 0)
      #expect(
        result.sentences.contains {
          $0.hasPrefix("unbraid: note: rank 20 exceeds the shorter side of 2 of 2")
        })
      let data = try Data(contentsOf: URL(filePath: workspace.outputPath + "/adapter/adapter_config.json"))
      let fields = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
      #expect(fields["init_lora_weights"] as? Bool == true)
      #expect(fields["r"] as? Int == 16 && fields["lora_alpha"] as? Int == 16)
      #expect(fields["base_model_name_or_path"] as? String == workspace.outputPath)
      #expect(fields["target_modules"] as? [String] == ["q_proj"])
      #expect(fields["use_rslora"] as? Bool == false)
    }

    @Test("LoRA-XS leaves the model alone and adds its small matrices under its own names")
    func loraXS() throws {
      let workspace = try Workspace()
      try #require(try initialise(workspace, ["--as", "lora-xs", "--rank", "4"]).status == 0)
      let names = try files(workspace.outputPath).keys.sorted()
      #expect(
        names == [
          "README.md", "adapter/adapter_config.json", "adapter/adapter_model.safetensors",
          "initialisation.json",
          "reconstr_config.json",
        ])
      let tensors = try RawSafetensors.read(workspace.outputPath + "/adapter/adapter_model.safetensors")
      let mapping = try #require(tensors["base_model.model.\(Name.query)_lora_latent_mapping.weight"])
      #expect(mapping.shape == [4, 4])
      let largest = mapping.values.map(abs).max() ?? 0
      #expect(largest > 1e-6 && largest < 5e-5)
      let other = workspace.folder.file("other")
      let options = ["--as", "lora-xs", "--rank", "4", "--seed", "7"]
      try #require(try initialise(workspace, options, output: other).status == 0)
      let others = try RawSafetensors.read(other + "/adapter/adapter_model.safetensors")
      #expect(others["base_model.model.\(Name.query)_lora_latent_mapping.weight"]?.bytes != mapping.bytes)
    }

    @Test("svd-training's file holds four tensors a module and everything else, and is no model")
    func svdTraining() throws {
      let workspace = try Workspace(shardCount: 2)
      let result = try initialise(workspace, ["--as", "svd-training", "--rank-fraction", "0.2"])
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect(
        try files(workspace.outputPath).keys.sorted() == [
          "README.md", "initialisation.json", "svd_decomposed.safetensors",
        ])
      let base = ModelPair.small().base
      let tensors = try RawSafetensors.read(workspace.outputPath + "/svd_decomposed.safetensors")
      // Two modules of two layers, and the head.
      #expect(tensors.count == base.tensors.count + 5 * 3)
      #expect(tensors["\(Name.query).sigma"]?.shape == [3])
      #expect(tensors["\(Name.query).U"]?.shape == [24, 3])
      #expect(tensors["\(Name.query).V"]?.shape == [16, 3])
      #expect(tensors["\(Name.query).bias"]?.bytes == base["\(Name.query).bias"].bytes)
      let converted = workspace.folder.file("converted")
      let back = try Workspace.run(
        [
          "convert", workspace.outputPath + "/svd_decomposed.safetensors", workspace.outputPath, "-o",
          converted,
        ])
      try #require(back.status == 0, "\(back.errorOutput)")
      let model = try Checkpoint.open(converted)
      #expect(model.files.count == 2)
      for tensor in base.tensors {
        let values = fixtureValues(try #require(model.tensors[tensor.name]).bytes(), .f32)
        for (value, original) in zip(values, tensor.values) { #expect(abs(value - original) <= 0x1p-24) }
      }
    }

    @Test("the same command on its own output says so; another one is refused")
    func again() throws {
      let workspace = try Workspace()
      try #require(try initialise(workspace, ["--as", "pissa", "--rank", "2"]).status == 0)
      let again = try initialise(workspace, ["--as", "pissa", "--rank", "2"])
      #expect(again.status == 0)
      #expect(again.output.hasPrefix("\(workspace.outputPath): is complete already: pissa of 4 modules"))
      let other = try initialise(workspace, ["--as", "milora", "--rank", "2"])
      #expect(other.status == 65 && other.errorOutput.contains("already holds"))
    }

    @Test("a killed job carries on and writes the same bytes")
    func resumes() throws {
      var base = ModelPair.small().base
      base.tensors = (0..<40).map { layer in
        var random = SplitMix64(state: UInt64(layer))
        let values = (0..<320 * 320).map { _ in random.nextUniform() }
        return FixtureTensor("model.layers.\(layer).mlp.up_proj.weight", shape: [320, 320], values)
      }
      let workspace = try Workspace(ModelPair(base: base, tuned: base))
      let options = ["--as", "milora", "--rank", "8"]
      let whole = workspace.folder.file("whole")
      try #require(try initialise(workspace, options, output: whole).status == 0)
      let running = try Workspace.start(
        ["init", workspace.basePath, "-o", workspace.outputPath] + options, ranks: 2)
      let journal = workspace.outputPath + ".partial/journal"
      let deadline = Date(timeIntervalSinceNow: 30)
      while Date() < deadline {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: journal)) ?? []
        if names.contains(where: { $0.hasSuffix(".safetensors") }) { break }
        usleep(2000)
      }
      kill(running.identifier, SIGKILL)
      for child in running.children { kill(child, SIGKILL) }
      _ = running.result(timeoutSeconds: 30)
      let result = try initialise(workspace, options)
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect(result.sentences.contains { $0.hasPrefix("unbraid: carrying on: ") })
      #expect(try comparable(workspace.outputPath) == comparable(whole))
    }

    @Test(
      "what cannot be initialised is refused by name, and nothing is written",
      arguments: [
        (["--as", "pissa", "--targets", "embed_tokens"], 64, "module 'model.embed_tokens' is an embedding"),
        (["--as", "pissa", "--targets", "nonsense"], 64, "--targets 'nonsense' matches none"),
        (["--as", "pissa", "--rank", "0"], 64, "--rank is 0"),
        (["--as", "corda"], 64, "--as corda needs the covariances"),
        (["--as", "pissa", "--mode", "kpm"], 64, "--mode does not belong to --as pissa"),
        (["--as", "olora", "--method", "krylov"], 64, "--method does not belong to --as olora"),
        (["--as", "pissa", "--tolerance", "0.1"], 64, "--tolerance is for --method krylov and auto"),
        (["--as", "milora", "--seed", "3"], 64, "--seed is for --method krylov and auto"),
        (
          ["--as", "pissa", "--covariance", "x.safetensors"], 64, "--covariance does not belong to --as pissa"
        ),
        (["--as", "milora", "--memory-per-rank", "100M"], 64, " MB, and --memory-per-rank allows 105 MB"),
        (
          ["--as", "corda", "--covariance", "/nonexistent.safetensors"], 65,
          "/nonexistent.safetensors: no such file"
        ),
      ])
    func refusals(options: [String], status: Int, sentence: String) throws {
      let workspace = try Workspace()
      let before = workspace.folder.contents
      let result = try initialise(workspace, options)
      #expect(result.status == Int32(status))
      #expect(result.errorOutput.contains(sentence), "\(result.errorOutput)")
      #expect(workspace.folder.contents == before)
    }

    @Test("so are weights and covariances that are not fit for it")
    func unfitInputs() throws {
      var pair = ModelPair.small()
      pair.base.configuration =
        #"{"architectures":["LlamaForCausalLM"],"model_type":"llama","tie_word_embeddings":true}"#
      let tied = try Workspace(pair)
      #expect(
        try initialise(tied, ["--as", "pissa", "--targets", "lm_head"]).errorOutput.contains(
          "module 'lm_head' has the embedding's weight"))
      let left = try initialise(tied, ["--as", "svd-training"])
      #expect(
        left.status == 0 && left.errorOutput.contains("the head is tied to the embedding and stays as it is"))

      var wide = ModelPair.small()
      let query = wide.base["\(Name.query).weight"]
      wide.base["\(Name.query).weight"] = FixtureTensor(query.name, .f64, shape: query.shape, query.values)
      let doubles = try initialise(try Workspace(wide), ["--as", "pissa"])
      #expect(doubles.status == 65 && doubles.errorOutput.contains("'\(query.name)' is stored as F64"))

      var broken = ModelPair.small()
      broken.base.set("\(Name.up).weight", at: 5, to: .nan)
      let nan = try Workspace(broken)
      let refused = try initialise(nan, ["--as", "milora", "--rank", "2"])
      #expect(refused.status == 65 && refused.errorOutput.contains("'\(Name.up).weight' is nan at [0, 5]"))
      #expect(!FileManager.default.fileExists(atPath: nan.outputPath + ".partial"))

      let workspace = try Workspace()
      let missing = try writeCovariances(workspace) { $0.removeAll { $0.name == Name.query } }
      let options = ["--as", "corda", "--covariance", missing]
      #expect(
        try initialise(workspace, options).errorOutput.contains(
          "has no covariance for module '\(Name.query)'"))
      _ = try writeCovariances(workspace) { tensors in
        tensors[0] = FixtureTensor(tensors[0].name, shape: [2, 2], [1, 0, 0, 1])
      }
      #expect(
        try initialise(workspace, options).errorOutput.contains(
          "is [2, 2], but the module has 16 inputs; give [16, 16]"))
    }
  }
}
