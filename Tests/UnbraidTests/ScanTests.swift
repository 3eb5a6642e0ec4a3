import Checkpoints
import Foundation
import Glibc
import TestSupport
import Testing

extension UnbraidSuite {
  @Suite struct ScanTests {
    /// A mixture of experts with a tied head, whose spectra are known.
    private static func model() -> ModelFixture {
      var tensors: [FixtureTensor] = []
      func add(_ name: String, _ shape: [Int], diagonal: [Double]) {
        var values = [Double](repeating: 0, count: shape.reduce(1, *))
        for (index, value) in diagonal.enumerated() { values[index * ((shape.last ?? 0) + 1)] = value }
        tensors.append(FixtureTensor(name + ".weight", .bf16, shape: shape, values))
      }
      add("model.embed_tokens", [12, 4], diagonal: [4, 3, 2, 1])
      for layer in [0, 2, 10] {
        let path = "model.layers.\(layer)"
        add("\(path).input_layernorm", [4], diagonal: [1])
        add("\(path).self_attn.q_proj", [4, 4], diagonal: layer == 2 ? [2, 2, 2, 2] : [10, 3, 2, 1])
        if layer == 0 {
          add("\(path).mlp.gate_proj", [8, 32], diagonal: [8, 7, 6, 5, 4, 3, 2, 1])
        } else {
          add("\(path).mlp.gate", [2, 4], diagonal: [2, 1])
          for expert in 0..<2 {
            add(
              "\(path).mlp.experts.\(expert).up_proj", [4, 100],
              diagonal: [10, 3, 2, 1].map { $0 / Double(layer) })
          }
        }
      }
      let values = (0..<8).map { Double($0) }
      tensors.append(FixtureTensor("model.layers.2.mlp.fused", shape: [2, 2, 2], values))
      let configuration = "{\"model_type\":\"llama\",\"tie_word_embeddings\":true}"
      return ModelFixture(tensors, configuration: configuration)
    }

    private struct Folder {
      let path: String
      let texts: [String: Data]

      init(_ path: String) throws {
        self.path = path
        var texts: [String: Data] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: path) where name != "report.json" {
          texts[name] = FileManager.default.contents(atPath: path + "/" + name)
        }
        self.texts = texts
      }

      func text(_ name: String) -> String { String(decoding: texts[name] ?? Data(), as: UTF8.self) }
    }

    private func scan(
      _ folder: TemporaryFolder, _ options: [String] = [], ranks: Int? = nil, output: String = "out"
    )
      throws -> ProcessResult
    {
      try Workspace.run(
        ["scan", folder.file("model"), "--name", "org/my_model.v1", "-o", folder.file(output)] + options,
        ranks: ranks)
    }

    private func written(_ model: ModelFixture = model()) throws -> TemporaryFolder {
      let folder = try TemporaryFolder()
      try model.write(to: folder.file("model"), shardCount: 2)
      return folder
    }

    @Test("linear layers are ranked by type, experts together, with the same bytes on any number of ranks")
    func grouped() throws {
      let folder = try written()
      let result = try scan(folder)
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect(
        result.sentences == [
          "unbraid: note: 1 tensor has more than two dimensions and is not scanned, such as "
            + "'model.layers.2.mlp.fused' [2, 2, 2]"
        ])
      let out = try Folder(folder.file("out"))
      #expect(
        out.text("snr_results_org-my-model.v1_unfrozenparameters_50percent.yaml") == """
          unfrozen_parameters:
          - ^lm_head.weight$
          - ^model.embed_tokens.weight$
          # mlp.experts.*.up_proj layers
          - model.layers.10.mlp.experts.0.up_proj
          - model.layers.10.mlp.experts.1.up_proj
          # mlp.gate layers
          - model.layers.2.mlp.gate
          # mlp.gate_proj layers
          # self_attn.q_proj layers
          - model.layers.2.self_attn.q_proj

          """)
      let flat = try ratios(out.text("model_snr_results/snr_results_org-my-model.v1.json"))
      #expect(flat.count == 10)
      let expected = [
        "model.layers.0.self_attn.q_proj": 1 / 6.0, "model.layers.2.self_attn.q_proj": 4,
        "model.layers.0.mlp.gate_proj": 0.625, "model.layers.2.mlp.gate": 1.5,
      ]
      for (module, ratio) in expected {
        #expect(abs(try #require(flat[module]) - ratio) < 1e-9, "\(module)")
      }
      #expect(
        try JSONSerialization.jsonObject(with: out.texts["spectra_org-my-model.v1.json"] ?? Data())
          is [String: Any])
      let lines = out.text("spectra_org-my-model.v1.csv").split(separator: "\n")
      #expect(lines.count == 11)
      #expect(
        lines[0].split(separator: ",").count
          == lines[5].split(separator: ",", omittingEmptySubsequences: false).count)
      let values = try RawSafetensors.read(folder.file("out/singular_values.safetensors"))
      #expect(values["model.layers.10.self_attn.q_proj"].map(\.values) == [10, 3, 2, 1])
      for ranks in [2, 3] {
        let again = try scan(folder, ranks: ranks, output: "ranks\(ranks)")
        try #require(again.status == 0, "\(again.errorOutput)")
        #expect(try Folder(folder.file("ranks\(ranks)")).texts == out.texts)
      }
      let done = try scan(folder)
      #expect(done.status == 0 && done.output.contains(": is complete already: 4 of 10 modules selected"))
      #expect(try scan(folder, ["--top-percent", "25"]).status != 0, "another job's folder")
    }

    private func ratios(_ text: String) throws -> [String: Double] {
      let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: [String: Any]] ?? [:]
      return object.compactMapValues { $0["snr"] as? Double }
    }

    @Test("the published tool's modules, types, order and numbers come with --compat")
    func compatible() throws {
      let folder = try written()
      let result = try scan(folder, ["--compat", "--top-percent", "100"], ranks: 2)
      try #require(result.status == 0, "\(result.errorOutput)")
      let out = try Folder(folder.file("out"))
      // 'mlp.gate' matches gate_proj too, which keeps that place and takes the type that comes later.
      #expect(
        out.text("snr_results_org-my-model.v1_unfrozenparameters_100percent.yaml") == """
          unfrozen_parameters:
          - ^lm_head.weight$
          - ^model.embed_tokens.weight$
          # input_layernorm layers
          - model.layers.0.input_layernorm
          - model.layers.2.input_layernorm
          - model.layers.10.input_layernorm
          # lm_head layers
          - lm_head
          # mlp.experts.0.up_proj layers
          - model.layers.10.mlp.experts.0.up_proj
          - model.layers.2.mlp.experts.0.up_proj
          # mlp.experts.1.up_proj layers
          - model.layers.10.mlp.experts.1.up_proj
          - model.layers.2.mlp.experts.1.up_proj
          # mlp.gate_proj layers
          - model.layers.0.mlp.gate_proj
          # mlp.gate layers
          - model.layers.2.mlp.gate
          - model.layers.10.mlp.gate
          # model.embed_tokens layers
          - model.embed_tokens
          # self_attn.q_proj layers
          - model.layers.2.self_attn.q_proj
          - model.layers.0.self_attn.q_proj
          - model.layers.10.self_attn.q_proj

          """)
      let flat = out.text("model_snr_results/snr_results_org-my-model.v1.json")
      #expect(flat.contains("\"snr\": 0.1666666716337204,\n"), "in single precision")
      #expect(flat.hasPrefix("{\n    \"model.layers.0.input_layernorm\": {\n        \"snr\": 1.0,"))
    }

    @Test("types are named whole or by their last names, and everything may be named")
    func named() throws {
      let folder = try written()
      let result = try scan(folder, ["--modules", "embed_tokens, mlp.gate,up_proj", "--top-percent", "0"])
      try #require(result.status == 0, "\(result.errorOutput)")
      let types = try Folder(folder.file("out"))
        .text("snr_results_org-my-model.v1_unfrozenparameters_0percent.yaml").split(separator: "\n").suffix(3)
      #expect(
        types == ["# mlp.experts.*.up_proj layers", "# mlp.gate layers", "# model.embed_tokens layers"])
    }

    @Test(
      "a zero matrix is written as JSON, and as the tool's Infinity with --compat", arguments: [false, true])
    func infinite(isCompatible: Bool) throws {
      var model = Self.model()
      let name = "model.layers.0.self_attn.q_proj.weight"
      model[name] = FixtureTensor(name, shape: [4, 4], [Double](repeating: 0, count: 16))
      let folder = try written(model)
      let result = try scan(folder, isCompatible ? ["--compat"] : [])
      try #require(result.status == 0, "\(result.errorOutput)")
      let flat = try Folder(folder.file("out")).text("model_snr_results/snr_results_org-my-model.v1.json")
      #expect(flat.contains("\"snr\": \(isCompatible ? "Infinity" : "1.7976931348623157e+308"),\n"))
      let again = try Workspace.run(
        [
          "scan", "--from", folder.file("out/model_snr_results/snr_results_org-my-model.v1.json"),
          "--top-percent", "34",
        ])
      #expect(again.output.contains("# self_attn.q_proj layers\n- model.layers.0.self_attn.q_proj\n"))
    }

    @Test("a selection is made again from a file, printed or written beside the sorted results")
    func again() throws {
      let folder = try written()
      try #require(try scan(folder).status == 0)
      let out = try Folder(folder.file("out"))
      let file = folder.file("out/model_snr_results/snr_results_org-my-model.v1.json")
      let printed = try Workspace.run(["scan", "--from", file], ranks: 2)
      #expect(printed.status == 0)
      #expect(printed.output == out.text("snr_results_org-my-model.v1_unfrozenparameters_50percent.yaml"))
      let result = try Workspace.run([
        "scan", "--from", file, "--top-percent", "50", "-o", folder.file("again"),
      ])
      #expect(result.status == 0)
      #expect(
        try Folder(folder.file("again")).texts
          == out.texts.filter { $0.key.hasPrefix("snr_results_") })
    }

    @Test("a killed scan goes on where it was, to the same bytes")
    func resumed() throws {
      var random = SplitMix64(state: 3)
      let model = ModelFixture(
        (0..<48).map { layer in
          FixtureTensor(
            "model.layers.\(layer).mlp.up_proj.weight", shape: [300, 300],
            (0..<90_000).map { _ in random.nextUniform() })
        })
      let folder = try written(model)
      try #require(try scan(folder, output: "undisturbed").status == 0)
      let running = try Workspace.start(
        ["scan", folder.file("model"), "--name", "org/my_model.v1", "-o", folder.file("out")])
      let journal = folder.file("out.partial/journal/000001.safetensors")
      while kill(running.identifier, 0) == 0 && access(journal, F_OK) != 0 { usleep(200) }
      kill(running.identifier, SIGKILL)
      _ = running.result(timeoutSeconds: 50)
      try #require(access(folder.file("out"), F_OK) != 0)
      let result = try scan(folder, ranks: 2)
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect(result.errorOutput.contains(" of 48 modules were finished before"))
      #expect(try Folder(folder.file("out")).texts == Folder(folder.file("undisturbed")).texts)
    }

    @Test(
      "what cannot be done is said in one sentence",
      arguments: [
        (
          ["--modules", "foo"], 64,
          "--modules 'foo' is none of the model's types: lm_head, mlp.experts.*.up_proj, "
        ),
        (
          ["--memory-per-rank", "1M"], 64, "module 'model.layers.0.mlp.gate_proj' needs 126 MB on one rank, "
        ),
        (
          ["--compat", "--modules", "zzz"], 64,
          "--modules 'zzz' is none of the model's types: input_layernorm, "
        ),
      ])
    func refused(options: [String], status: Int32, sentence: String) throws {
      let folder = try written()
      let result = try scan(folder, options)
      #expect(result.status == status)
      #expect(result.errorOutput.contains("unbraid: \(sentence)"), "\(result.errorOutput)")
      #expect(access(folder.file("out"), F_OK) != 0)
    }

    @Test(
      "a wrong command line is refused before anything is read",
      arguments: [
        (["m", "--top-percent", "101"], "--top-percent is 101; give a whole number from 0 to 100"),
        (["m", "--top-percent", "-1"], "--top-percent is -1; give a whole number from 0 to 100"),
        ([], "give the folder of a model, or --from with a file of results"),
        (["m", "--from", "f"], "give the folder of a model, or --from with a file of results"),
        (["--from", "f", "--compat"], "--from takes modules, types and names from the file; "),
        (["m", "--modules", ", "], "--modules names no type; give types such as mlp.down_proj"),
      ])
    func commandLine(options: [String], sentence: String) throws {
      let result = try Workspace.run(["scan"] + options)
      #expect(result.status == 64)
      #expect(result.errorOutput.hasPrefix("Error: \(sentence)"), "\(result.errorOutput)")
    }

    @Test("weights that are no numbers are named, and nothing is left")
    func notFinite() throws {
      var model = Self.model()
      model.set("model.layers.2.self_attn.q_proj.weight", at: 6, to: .nan)
      let folder = try written(model)
      let result = try scan(folder)
      #expect(result.status == 65)
      #expect(
        result.errorOutput.contains("tensor 'model.layers.2.self_attn.q_proj.weight' is nan at [1, 2]; "))
      #expect(access(folder.file("out.partial"), F_OK) != 0)
    }
  }
}
