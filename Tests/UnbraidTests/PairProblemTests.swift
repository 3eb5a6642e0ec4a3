import Checkpoints
import Foundation
import TestSupport
import Testing

extension TroubleSuite {
  @Suite struct PairProblemTests {
    @Test("a type that differs is refused, and accepted with --mixed-dtypes")
    func mixedTypes() throws {
      let pair = ModelPair(base: ModelPair.small(.bf16).base, tuned: ModelPair.small(.f32).tuned)
      let workspace = try Workspace(pair)
      try workspace.expectRefusal(
        "tensor 'lm_head.weight' is BF16 in the base model and F32 in the fine-tuned one, so their difference "
          + "holds rounding besides training; pass --mixed-dtypes to take it all the same")
      let adapter = try workspace.adapter(["--mixed-dtypes", "--rank", "4"])
      let truth = DeltaTruth(base: pair.base[Name.up + ".weight"], tuned: pair.tuned[Name.up + ".weight"])
      #expect(abs(adapter[Name.up].norm / truth.energy.squareRoot() - 1) < 1e-6)
      #expect(adapter.factors(Name.up)?.a.elementType == .f32)
    }

    @Test("a linear layer whose shape changed is refused, unless it is left out")
    func linearShape() throws {
      var pair = ModelPair.small()
      pair.tuned[Name.up + ".weight"] = FixtureTensor(
        Name.up + ".weight", shape: [16, 32], Array(repeating: 0.5, count: 512))
      let workspace = try Workspace(pair)
      try workspace.expectRefusal(
        "tensor '\(Name.up).weight' is [48, 32] in the base model and [16, 32] in the fine-tuned one; "
          + "leave it out with --exclude, or give the base model that was fine-tuned")
      let adapter = try workspace.adapter(["--exclude", #"layers\.0\.mlp"#, "--rank", "4"])
      #expect(!adapter.adapted.contains(Name.up))
      #expect(
        adapter.report.notes.contains(
          "'\(Name.up).weight' is [48, 32] in the base model and [16, 32] in the fine-tuned one and is left out"
        ))
    }

    @Test("a vocabulary that grew stops only those who ask for the embedding or the head")
    func vocabulary() throws {
      var pair = ModelPair.small()
      for name in [Name.embedding + ".weight", "lm_head.weight"] {
        pair.tuned[name] = FixtureTensor(name, shape: [44, 16], Array(repeating: 0.5, count: 44 * 16))
      }
      let workspace = try Workspace(pair)
      let remedy = "resize the base model's vocabulary first, or leave out --embeddings and --head"
      for (option, tensor) in [("--embeddings", Name.embedding), ("--head", "lm_head")] {
        try workspace.expectRefusal(
          "tensor '\(tensor).weight' is [40, 16] in the base model and [44, 16] in the fine-tuned one; \(remedy)",
          [option])
      }
      let adapter = try workspace.adapter(["--rank", "4"])
      #expect(adapter.adapted.count == 4)
      #expect(adapter.report.notes.count == 2)
    }

    @Test("models without a tensor in common are refused with an example of each")
    func nothingInCommon() throws {
      var pair = ModelPair.small()
      for index in pair.tuned.tensors.indices { pair.tuned.tensors[index].name += "x" }
      try Workspace(pair).expectRefusal(
        "{tuned}: no tensor in common with {base} (such as 'lm_head.weightx' beside 'lm_head.weight'); "
          + "give a fine-tune of this base model")
    }

    @Test("identical models are refused, and equal modules of models that differ elsewhere too")
    func identical() throws {
      var pair = ModelPair.small()
      let tuned = pair.tuned
      pair.tuned = pair.base
      try Workspace(pair).expectRefusal(
        "{tuned}: all 4 selected modules equal those of {base}; the two models are identical")
      pair.tuned["lm_head.weight"] = tuned["lm_head.weight"]
      try Workspace(pair).expectRefusal(
        "{tuned}: all 4 selected modules equal those of {base}; "
          + "1 tensor outside the selection differs, see 'unbraid plan'")
    }

    @Test(
      "an entry that is no finite number is named with its file, tensor and index",
      arguments: [
        (true, Double.nan, "nan"), (true, .infinity, "inf"), (false, .nan, "nan"),
        (false, -.infinity, "-inf"),
      ])
    func notFinite(isInTuned: Bool, value: Double, text: String) throws {
      var pair = ModelPair.small(.bf16)
      let name = Name.up + ".weight"
      if isInTuned { pair.tuned.set(name, at: 5 * 32 + 7, to: value) }
      if !isInTuned { pair.base.set(name, at: 5 * 32 + 7, to: value) }
      try Workspace(pair).expectRefusal(
        "\(isInTuned ? "{tuned}" : "{base}")/model.safetensors: tensor '\(name)' is \(text) at [5, 7]; "
          + "a checkpoint with such weights cannot be decomposed")
    }

    @Test("so is one in a tensor that is not decomposed, and a difference beyond single precision")
    func notFiniteElsewhere() throws {
      var pair = ModelPair.small()
      pair.tuned.set(Name.norm + ".weight", at: 3, to: .nan)
      try Workspace(pair, shardCount: 2).expectRefusal(
        "{tuned}/model-00001-of-00002.safetensors: tensor '\(Name.norm).weight' is nan at [3]; "
          + "a checkpoint with such weights cannot be decomposed")
      var wide = ModelPair.small()
      wide.base.set(Name.up + ".weight", at: 0, to: -3e38)
      wide.tuned.set(Name.up + ".weight", at: 0, to: 3e38)
      try Workspace(wide).expectRefusal(
        "{tuned}/model.safetensors: tensor '\(Name.up).weight' is further from the base model's value than "
          + "single precision reaches at [0, 0]; a checkpoint with such weights cannot be decomposed")
    }

    @Test("a NaN with a payload is a nan")
    func payload() throws {
      var pair = ModelPair.small()
      pair.tuned[Name.up + ".weight"].bytes.replaceSubrange(0..<4, with: [1, 0, 0xC0, 0xFF])
      let result = try Workspace(pair).extract()
      #expect(result.status == 65)
      #expect(result.errorOutput.contains("is nan at [0, 0]"), "\(result.errorOutput)")
    }

    @Test(
      "quantised weights are refused",
      arguments: ["weight_scale_inv", "weight_scale", "scales", "qweight", "SCB", "weight_packed"])
    func quantized(parameter: String) throws {
      var pair = ModelPair.small()
      let name = "\(Name.up).\(parameter)"
      pair.tuned.tensors.append(FixtureTensor(name, shape: [1], [1]))
      try Workspace(pair).expectRefusal(
        "{tuned}: tensor '\(name)' belongs to quantised weights, whose stored numbers cannot be subtracted; "
          + "give the unquantised checkpoint, or dequantise it first")
    }

    @Test("a matrix of integers is refused where it is selected, and fine where it is not")
    func integers() throws {
      var pair = ModelPair.small()
      let tensor = FixtureTensor(
        Name.up + ".weight", .i8, shape: [48, 32], Array(repeating: 3, count: 48 * 32))
      pair.base[Name.up + ".weight"] = tensor
      pair.tuned[Name.up + ".weight"] = tensor
      let buffer = FixtureTensor("model.position_ids", .i64, shape: [1, 4], [0, 1, 2, 3])
      pair.base.tensors.append(buffer)
      pair.tuned.tensors.append(buffer)
      let workspace = try Workspace(pair)
      try workspace.expectRefusal(
        "tensor '\(Name.up).weight' is stored as I8, which is no floating-point weight (F64, F32, F16, BF16, "
          + "F8_E4M3 and F8_E5M2 are read); leave it out with --exclude")
      let adapter = try workspace.adapter(["--exclude", #"layers\.0\.mlp"#, "--rank", "4"])
      #expect(adapter.adapted.count == 3)
      let plan = try workspace.plan(["--exclude", #"layers\.0\.mlp"#])
      #expect(plan.status == 0, "\(plan.errorOutput)")
    }

    @Test("scalars, vectors without elements and tensors of three dimensions are measured and left out")
    func otherShapes() throws {
      var pair = ModelPair.small()
      for (tensor, change) in [("logit_scale", 0.5), ("model.vision.kernels", 0), ("model.empty.bias", 1)] {
        let shape = ["logit_scale": [], "model.vision.kernels": [2, 3, 4]][tensor] ?? [0]
        let old = Array(repeating: 1.0, count: shape.reduce(1, *))
        pair.base.tensors.append(FixtureTensor(tensor, shape: shape, old))
        pair.tuned.tensors.append(FixtureTensor(tensor, shape: shape, old.map { $0 + change }))
      }
      let workspace = try Workspace(pair)
      let adapter = try workspace.adapter(["--rank", "4", "--bias"])
      let energies = Dictionary(
        uniqueKeysWithValues: adapter.report.leftOut.map { ($0.tensor, $0.difference?.energy) })
      #expect(energies["logit_scale"] == 0.25)
      #expect(energies["model.vision.kernels"] == 0)
      #expect(energies["model.empty.bias"] == 0)
      #expect(try workspace.plan(["--rank", "4"]).status == 0)
    }

    @Test("a matrix without elements is left out, not a crash")
    func emptyMatrix() throws {
      var pair = ModelPair.small()
      let tensor = FixtureTensor("model.layers.0.mlp.empty.weight", shape: [0, 16], [])
      pair.base.tensors.append(tensor)
      pair.tuned.tensors.append(tensor)
      let result = try Workspace(pair).extract(["--rank", "4"])
      #expect(result.status == 0)
    }
  }
}
