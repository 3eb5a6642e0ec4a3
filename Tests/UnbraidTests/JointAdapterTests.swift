import Foundation
import LinearAlgebra
import TestSupport
import Testing

extension UnbraidSuite {
  @Suite struct JointAdapterTests {
    /// A decomposition of a pair in `decomposition`, with options of `joint`.
    private func decomposed(_ pair: ModelPair, _ options: [String], others: [ModelFixture] = []) throws
      -> Workspace
    {
      let workspace = try Workspace(pair)
      var paths: [String] = []
      for (index, other) in others.enumerated() {
        paths.append(workspace.folder.file("other\(index)"))
        try other.write(to: paths[index])
      }
      let result = try Workspace.run(
        ["joint", workspace.basePath, workspace.tunedPath] + paths + [
          "-o", folder(workspace), "--no-compare",
        ]
          + options)
      try #require(result.status == 0, "\(result.errorOutput)")
      return workspace
    }

    private func folder(_ workspace: Workspace) -> String { workspace.folder.file("decomposition") }

    private func run(_ workspace: Workspace, _ options: [String], to name: String) throws -> ProcessResult {
      try Workspace.run(["adapter", folder(workspace), "-o", workspace.folder.file(name)] + options)
    }

    private func adapter(_ workspace: Workspace, _ options: [String], to name: String) throws
      -> JointAdapterFolder
    {
      let result = try run(workspace, options, to: name)
      try #require(result.status == 0, "\(result.errorOutput)")
      return try JointAdapterFolder(workspace.folder.file(name))
    }

    @Test(
      "the base and all components of an untruncated decomposition are the fine-tune",
      arguments: [["--rank", "99"], ["--method", "shared", "--rank", "99"]])
    func wholeRebuilds(options: [String]) throws {
      let pair = JointPair.noise()
      let workspace = try decomposed(pair, options)
      let whole = try adapter(workspace, [], to: "whole")
      for module in try JointOutput(folder(workspace)).groups.flatMap(\.modules) {
        let update = try #require(whole.update(module))
        let name = module + ".weight"
        let (base, tuned) = (pair.base[name].values, pair.tuned[name].values)
        let error = base.indices.map { abs(base[$0] + update[$0] - tuned[$0]) }.max() ?? 0
        #expect(error < 2e-6, "\(module)")
      }
    }

    @Test(
      "what is written and its complement are the whole, and the report's numbers are true",
      arguments: [
        (["--rank", "6"], ["--drop", "q_proj:out0,out3-4,up_proj:in1"]),
        (["--rank", "6"], ["--keep", "q_proj:in0-2,out1", "--scale", "q_proj:out1=0.5"]),
        (["--rank", "6", "--layer-rank", "2"], ["--scale", "down_proj:in2=-1.5", "--layers", "9-10"]),
        (["--method", "cp", "--rank", "3"], ["--drop", "q_proj:0,2", "--group", "q_proj,up_proj"]),
        (["--method", "cp", "--rank", "3"], ["--scale", "q_proj:1=3", "--factor-dtype", "bf16"]),
        (["--method", "shared", "--rank", "4"], ["--keep", "down_proj,q_proj:1-2"]),
        (["--method", "shared", "--side", "out", "--rank", "4"], ["--drop", "up_proj", "--rank", "2"]),
      ])
    func complement(method: [String], edit: [String]) throws {
      let pair = JointPair.noise()
      let workspace = try decomposed(pair, method)
      let parts = [
        try adapter(workspace, edit, to: "part"), try adapter(workspace, edit + ["--complement"], to: "rest"),
      ]
      let decomposition = try JointOutput(folder(workspace))
      let isRounded = edit.contains("bf16")
      // Each part is cut to the rank by itself.
      let isCut = edit.contains("--rank")
      for group in decomposition.groups {
        for (layer, module) in group.modules.enumerated() {
          let whole = try decomposition.rebuilt(group, tuned: 0, layer: layer)
          let updates = parts.map { $0.update(module) ?? [Double](repeating: 0, count: whole.count) }
          if !isCut {
            let error = whole.indices.map { abs(updates[0][$0] + updates[1][$0] - whole[$0]) }.max() ?? 0
            let size = parts.reduce(0) { $0 + $1.magnitude(module) }
            #expect(error < (isRounded ? 0x1p-8 : 0x1p-20) * size, "\(module)")
          }
          let truth = DeltaTruth(base: pair.base[module + ".weight"], tuned: pair.tuned[module + ".weight"])
          for (part, update) in zip(parts, updates) {
            let record = try #require(part.report.modules.first { $0.module == module })
            let residual = distance(truth.values, update)
            let slack = 1e-5 * record.norm
            #expect(
              residual > record.leastResidual - slack && residual < record.largestResidual + slack,
              "\(module)")
            #expect(abs(distance(whole, update) - record.departure) < slack)
            #expect(abs(update.reduce(0) { $0 + $1 * $1 }.squareRoot() - record.writtenNorm) < slack)
            let isKnown = group.tunedCount == 1 && !method.contains("cp") && !method.contains("--layer-rank")
            if isKnown && !isRounded { #expect(record.leastResidual == record.largestResidual) }
          }
        }
      }
    }

    @Test("an edit does what it says to each module, and writes no others")
    func edits() throws {
      let workspace = try decomposed(JointPair.noise(), ["--method", "cp", "--rank", "3"])
      let module = "model.layers.9.self_attn.q_proj"
      let whole = try adapter(workspace, [], to: "whole")
      let one = try adapter(workspace, ["--keep", "q_proj:1"], to: "one")
      #expect(one.adapted == Set((8..<13).map { "model.layers.\($0).self_attn.q_proj" }))
      #expect(one.tensors["base_model.model.\(module).lora_A.weight"]?.shape == [1, 20])
      let scaled = try adapter(workspace, ["--scale", "self_attn.q_proj:1=3"], to: "scaled")
      let (all, single) = (try #require(whole.update(module)), try #require(one.update(module)))
      let expected = zip(all, single).map { $0 + 2 * $1 }
      #expect(distance(try #require(scaled.update(module)), expected) < 1e-5 * norm(expected))
      let layers = try adapter(workspace, ["--layers", "8,11-", "--group", "q_proj"], to: "layers")
      #expect(layers.adapted == Set([8, 11, 12].map { "model.layers.\($0).self_attn.q_proj" }))
      #expect(
        layers.update("model.layers.11.self_attn.q_proj") == whole.update("model.layers.11.self_attn.q_proj"))
    }

    @Test("a smaller rank is the best one there is")
    func truncation() throws {
      let workspace = try decomposed(JointPair.noise(), ["--rank", "8"])
      let cut = try adapter(workspace, ["--rank", "3", "--drop", "q_proj:out2"], to: "cut")
      let exact = try adapter(workspace, ["--drop", "q_proj:out2"], to: "exact")
      for (module, columns) in [
        ("model.layers.9.self_attn.q_proj", 20), ("model.layers.8.mlp.down_proj", 36),
      ] {
        let (small, large) = (try #require(cut.update(module)), try #require(exact.update(module)))
        let matrix = Matrix<Float>(large.map { Float($0) }, rows: large.count / columns, columns: columns)
        let energy = norm(large) * norm(large)
        let left = distance(small, large)
        let optimum = try ExactSpectrum(of: matrix).optimum(rank: 3)
        #expect(abs(left * left - (energy - optimum)) < 1e-5 * energy, "\(module)")
        #expect(cut.tensors["base_model.model.\(module).lora_A.weight"]?.shape[0] == 3)
      }
    }

    @Test("X and Y are told apart, and dropping Y leaves X", arguments: [1, 2])
    func planted(modelCount: Int) throws {
      let planted = JointPair.Planted()
      let workspace = try decomposed(
        planted.pair, ["--method", "cp", "--rank", "16"], others: modelCount == 2 ? [planted.other] : [])
      let listing = try ComponentsOutput(folder(workspace))
      let blocks = listing.groups[0].sets[0].blocks
      #expect(blocks.map(\.members.count) == [8, 8])
      // Y acts where its profile is large, and only one of two fine-tunes has it.
      let y = try #require(blocks.max { $0.layerShares[5] < $1.layerShares[5] })
      if modelCount == 2 {
        #expect(y.tunedShares[0] > 0.999)
        let x = try #require(blocks.first { $0.name != y.name })
        #expect(abs(x.tunedShares[0] - 0.5) < 0.01)
      }
      let options = ["--drop", y.name] + (modelCount == 2 ? ["--tuned", "tuned"] : [])
      let left = try adapter(workspace, options, to: "x")
      #expect(left.report.notes.isEmpty)
      for layer in 0..<JointPair.Planted.layers {
        let truth = planted.x.map { $0 * JointPair.Planted.xProfile[layer] }
        let update = try #require(left.update("model.layers.\(layer).mlp.up_proj"))
        // Where X is weak, what is left of Y weighs most.
        #expect(distance(update, truth) < 0.05 * norm(truth), "layer \(layer)")
      }
    }

    @Test("equal singular values are one block, and part of it draws a note")
    func blocks() throws {
      let workspace = try decomposed(JointPair.equalValues(), ["--method", "shared", "--rank", "4"])
      let listing = try ComponentsOutput(folder(workspace))
      #expect(listing.groups[0].sets[0].blocks.map(\.name) == ["up_proj:0", "up_proj:1-2", "up_proj:3"])
      #expect(abs(listing.groups[0].sets[0].blocks[1].energyShare - 8.0 / 25) < 1e-6)
      #expect(abs((listing.groups[0].sets[0].blocks[0].gap ?? 0) - 0.5) < 1e-6)
      let part = try run(workspace, ["--drop", "up_proj:1"], to: "part")
      #expect(
        part.sentences == [
          "unbraid: note: up_proj:1-2 cannot be told apart and are not treated alike: "
            + "which direction among them is taken is chance"
        ])
      #expect(try run(workspace, ["--drop", "up_proj:1-2"], to: "all").sentences.isEmpty)
      let table = try Workspace.run(["components", folder(workspace), "--top", "2"])
      #expect(table.output.contains("up_proj:1-2  32.00 %"))
      #expect(table.output.contains("and 1 more"))
    }

    @Test(
      "what cannot be done is said in one sentence, and nothing is written",
      arguments: [
        (
          ["--drop", "k_proj:0"], 64, "'k_proj' is no group of this folder; it has down_proj, up_proj, q_proj"
        ),
        (["--keep", "q_proj:5-"], 64, "'q_proj:5-': q_proj has 3 components, q_proj:0 to q_proj:2"),
        (["--drop", "q_proj:out1"], 64, "'q_proj:out1' names no component; give names such as q_proj:0"),
        (["--drop", "1"], 64, "'1' is no group of this folder"),
        (["--drop", ","], 64, "',' names no component"),
        (["--scale", "q_proj:1=x"], 64, "--scale 'q_proj:1=x': give a component and a number"),
        (["--scale", "q_proj:1=2", "--scale", "q_proj:0-1=3"], 64, "--scale gives 'q_proj:0-1' two factors"),
        (
          ["--layers", "3"], 64, "--layers 3: no module of this folder is in these layers; it has layers 8-12"
        ),
        (["--layers", "x"], 64, "--layers is 'x'"), (["--rank", "0"], 64, "--rank is 0"),
        (["--complement"], 64, "nothing was dropped, so that the complement is empty"),
        (["--drop", "q_proj,up_proj,down_proj"], 64, "the edit leaves no component to write"),
        (["--tuned", "x"], 64, "--tuned 'x' is no fine-tuned model of this folder"),
        (["--base", "/nowhere"], 65, "/nowhere: the base model is no longer there"),
        (["--factor-dtype", "f16", "--scale", "q_proj=1e12"], 65, "beyond the range of f16"),
      ])
    func refusals(options: [String], status: Int32, sentence: String) throws {
      let workspace = try decomposed(JointPair.noise(), ["--method", "shared", "--rank", "3"])
      let result = try run(workspace, options, to: "bad")
      #expect(result.status == status)
      #expect(result.errorOutput.contains(sentence), "\(result.errorOutput)")
      #expect(!FileManager.default.fileExists(atPath: workspace.folder.file("bad")))
      #expect(!FileManager.default.fileExists(atPath: workspace.folder.file("bad.partial")))
    }

    @Test("a damaged folder, another base and an occupied place are named")
    func damage() throws {
      let workspace = try decomposed(
        JointPair.noise(), ["--rank", "3"], others: [JointPair.noise(seed: 9).tuned])
      let several = try run(workspace, [], to: "bad")
      #expect(several.status == 64)
      #expect(several.errorOutput.contains("the folder holds 2 fine-tuned models; choose one with --tuned"))
      let occupied = try run(workspace, ["--tuned", "1"], to: "base")
      #expect(occupied.status == 65)
      #expect(occupied.errorOutput.contains("the output folder already holds"))
      var other = JointPair.noise().base
      other.remove("model.layers.9.self_attn.q_proj.weight")
      try other.write(to: workspace.folder.file("other-base"))
      let wrong = try run(
        workspace, ["--tuned", "1", "--base", workspace.folder.file("other-base")], to: "bad")
      #expect(wrong.status == 65)
      #expect(wrong.errorOutput.contains("'model.layers.9.self_attn.q_proj' is missing"))
      let record = folder(workspace) + "/decomposition.json"
      let text = try String(contentsOfFile: record, encoding: .utf8)
      for (old, new, sentence) in [
        (
          "\"outRank\"", "\"outRang\"",
          "'mlp.down_proj.out_basis' has shape [20, 3] where [20, 20] is expected"
        ), ("\"format\"", "\"forma\"", "is no record"),
        ("\"tunedCount\" : 2", "\"tunedCount\" : 3", "contradicts itself"),
      ] {
        #expect(text.contains(old))
        try text.replacing(old, with: new).write(toFile: record, atomically: true, encoding: .utf8)
        let result = try run(workspace, ["--tuned", "1"], to: "bad")
        #expect(result.status == 65)
        #expect(result.errorOutput.contains(sentence), "\(result.errorOutput)")
      }
      #expect(!FileManager.default.fileExists(atPath: workspace.folder.file("bad")))
    }
  }
}

/// What `unbraid components --json` prints.
private struct ComponentsOutput: Decodable {
  let groups: [Group]

  struct Group: Decodable {
    let sets: [Components]
  }

  struct Components: Decodable {
    let blocks: [Block]
  }

  struct Block: Decodable {
    let name: String
    let members: [Int]
    let energyShare: Double
    let gap: Double?
    let layerShares: [Double]
    let tunedShares: [Double]
  }

  init(_ folder: String) throws {
    let result = try Workspace.run(["components", folder, "--json"])
    try #require(result.status == 0, "\(result.errorOutput)")
    self = try JSONDecoder().decode(ComponentsOutput.self, from: Data(result.output.utf8))
  }
}

private func norm(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }

private func distance(_ one: [Double], _ other: [Double]) -> Double { norm(zip(one, other).map { $0 - $1 }) }
