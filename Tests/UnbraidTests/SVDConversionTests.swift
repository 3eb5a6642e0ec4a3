import Checkpoints
import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// `unbraid convert` of what svd-training trained.
  @Suite struct SVDConversionTests {
    /// A decomposed model, and a state with its singular values and whatever else was trained.
    private func trained(_ others: [FixtureTensor] = []) throws -> Workspace {
      try trained(Workspace(), others)
    }

    private func trained(_ workspace: Workspace, _ others: [FixtureTensor] = []) throws -> Workspace {
      let result = try Workspace.run(
        [
          "init", workspace.basePath, "--as", "svd-training", "--rank-fraction", "0.3", "-o",
          workspace.outputPath,
        ])
      try #require(result.status == 0, "\(result.errorOutput)")
      let values = try RawSafetensors.read(workspace.outputPath + "/svd_decomposed.safetensors").values
        .filter { $0.name.hasSuffix(".sigma") }.sorted { $0.name < $1.name }
      try workspace.folder.write(RawSafetensors.file(values + others), to: "trained.safetensors")
      return workspace
    }

    private func convert(_ workspace: Workspace, _ trained: String? = nil, _ options: [String] = []) throws
      -> ProcessResult
    {
      try Workspace.run(
        [
          "convert", trained ?? workspace.folder.file("trained.safetensors"), workspace.outputPath, "-o",
          workspace.folder.file("plain"),
        ] + options)
    }

    @Test("a merged model is no state of svd-training")
    func merged() throws {
      let workspace = try trained()
      let refused = try convert(workspace, workspace.basePath)
      #expect(refused.status == 65)
      #expect(
        refused.errorOutput.contains(".sigma'; save the state of the decomposed model, before its merge()"))
      #expect(try convert(workspace, workspace.basePath, ["--rank", "2"]).status == 64)
    }

    @Test("a tensor that was trained whole takes the model's type, and one that the model has not is named")
    func others() throws {
      let norm = FixtureTensor("\(Name.norm).weight", .f64, shape: [16], (0..<16).map { 1 + Double($0) / 8 })
      let workspace = try trained([norm, FixtureTensor("adapter.gate", shape: [1], [1])])
      let result = try convert(workspace)
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect(
        result.output.contains(
          "; 1 trained tensors that the model has not (such as 'adapter.gate') are left out"))
      let model = try RawSafetensors.read(workspace.folder.file("plain/model.safetensors"))
      #expect(model[norm.name]?.elementType == .f32 && model[norm.name]?.values == norm.values)
    }

    @Test("a tensor of another shape or kind, or beyond the model's range, is refused by name")
    func unfit() throws {
      let name = "\(Name.norm).weight"
      let cases: [(FixtureTensor, String)] = [
        (
          FixtureTensor(name, shape: [15], Array(repeating: 1, count: 15)),
          "tensor '\(name)' is [15], but must be [16]"
        ),
        (
          FixtureTensor(name, .i64, shape: [16], Array(repeating: 1, count: 16)),
          "tensor '\(name)' is stored as I64"
        ),
        (
          FixtureTensor(name, .f64, shape: [16], Array(repeating: 1e39, count: 16)), "'\(name)' is inf"
        ),
      ]
      for (tensor, sentence) in cases {
        let workspace = try trained([tensor])
        let result = try convert(workspace)
        #expect(result.status == 65 && result.errorOutput.contains(sentence), "\(result.errorOutput)")
        #expect(!FileManager.default.fileExists(atPath: workspace.folder.file("plain")))
      }
    }

    @Test("what a half-precision model cannot hold is refused, not stored as an infinity")
    func range() throws {
      let name = "\(Name.norm).weight"
      let workspace = try trained([FixtureTensor(name, shape: [16], Array(repeating: 1e5, count: 16))])
      try ModelPair.small(.f16).base.write(to: workspace.tunedPath)
      let result = try convert(workspace, nil, ["--model", workspace.tunedPath])
      #expect(
        result.status == 65
          && result.errorOutput.contains("module '\(Name.norm)': 100000.0 does not fit F16"),
        "\(result.errorOutput)")
    }

    @Test("a model that is not the one that was decomposed is refused by name")
    func otherModel() throws {
      let workspace = try trained()
      let weight = "\(Name.other).mlp.up_proj.weight"
      let cases: [(ModelFixture, String)] = [
        (ModelPair.small(layers: 1).base, "has no tensor '\(weight)'"),
        (
          {
            var model = ModelPair.small().base
            model[weight] = FixtureTensor(weight, shape: [2, 2], [1, 2, 3, 4])
            return model
          }(), "tensor '\(weight)' is [2, 2], but was [48, 31] when init ran"
        ),
        (
          {
            var model = ModelPair.small().base
            model[weight] = FixtureTensor(weight, .f64, shape: [48, 31], model[weight].values)
            return model
          }(), "tensor '\(weight)' is stored as F64, and what was trained is written as F32"
        ),
      ]
      for (model, sentence) in cases {
        try model.write(to: workspace.tunedPath)
        let result = try convert(workspace, nil, ["--model", workspace.tunedPath])
        #expect(result.status == 65 && result.errorOutput.contains(sentence), "\(result.errorOutput)")
      }
    }

    @Test("a model that was changed where init read it is refused, one that is given instead is noted")
    func changedModel() throws {
      let workspace = try trained()
      let file = workspace.basePath + "/model.safetensors"
      #expect(try convert(workspace).sentences.isEmpty)
      try FileManager.default.removeItem(atPath: workspace.folder.file("plain"))
      try FileManager.default.setAttributes(
        [.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: file)
      let touched = try convert(workspace)
      #expect(touched.status == 65 && touched.sentences.count == 1)
      #expect(
        touched.sentences[0].hasPrefix(
          "unbraid: \(file): was changed on 1970-01-01T00:00:01.000Z, after the 20"))
      let meant = try convert(workspace, nil, ["--model", workspace.basePath])
      #expect(meant.status == 0 && meant.sentences.count == 1)
      #expect(
        meant.sentences[0].hasPrefix(
          "unbraid: note: \(file) was changed on 1970-01-01T00:00:01.000Z, after the 20"))
      try FileManager.default.removeItem(atPath: workspace.folder.file("plain"))

      var other = ModelPair.small().base
      let before = RawSafetensors.file(other.tensors).count
      other.tensors.append(FixtureTensor("model.extra.weight", shape: [4], [1, 2, 3, 4]))
      let now = RawSafetensors.file(other.tensors).count
      try other.write(to: workspace.basePath)
      let difference = "has \(now) bytes now and had \(before) then, when init read the model; "
      let refused = try convert(workspace)
      #expect(refused.status == 65)
      #expect(
        refused.errorOutput
          == "unbraid: \(file): \(difference)give the original model with --model, or this one if it is meant\n"
      )
      #expect(workspace.folder.contents.allSatisfy { !$0.hasPrefix("plain") })
      let given = try convert(workspace, nil, ["--model", workspace.basePath])
      #expect(given.status == 0)
      #expect(
        given.sentences == [
          "unbraid: note: \(file) \(difference)what was not trained comes from \(workspace.basePath)"
        ])
    }

    @Test("files of the model that init read and that the given one has not are counted")
    func otherFiles() throws {
      let workspace = try Workspace(.small(), shardCount: 2)
      _ = try trained(workspace)
      // The same tensors in one file, which has the name of none that was read.
      let whole = try Workspace(.small())
      let result = try convert(workspace, nil, ["--model", whole.basePath])
      #expect(result.status == 0)
      #expect(
        result.sentences == [
          "unbraid: note: \(whole.basePath)/model.safetensors is none of the files that were there then, when init read "
            + "the model, and 2 more files differ; what was not trained comes from \(whole.basePath)"
        ])
    }
  }
}
