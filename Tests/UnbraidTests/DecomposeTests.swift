import Checkpoints
import Foundation
import Glibc
import LinearAlgebra
import TestSupport
import Testing

extension UnbraidSuite {
  /// `unbraid decompose`: the folder, and how it comes about.
  @Suite struct DecomposeTests {
    @Test("the folder holds the leading triplets of every module, and says how good they are")
    func folder() throws {
      let workspace = try Workspace()
      #expect(try workspace.decompose(["--rank", "5", "--embeddings"]).status == 0)
      let output = try DecompositionOutput(workspace.decompositionPath)
      #expect(output.record.format == "unbraid decomposition 1" && output.record.source == "difference")
      let pair = ModelPair.small()
      #expect(output.record.modules.count == 5)
      for module in output.record.modules {
        let name = module.module + ".weight"
        let truth = DeltaTruth(base: pair.base[name], tuned: pair.tuned[name])
        let isEmbedding = module.module == Name.embedding
        let shape = isEmbedding ? truth.shape.reversed() : truth.shape
        let (u, s, vh) = (
          try #require(output.tensors[module.module + ".U"]),
          try #require(output.tensors[module.module + ".S"]),
          try #require(output.tensors[module.module + ".Vh"])
        )
        #expect(u.shape == [shape[0], 5] && s.shape == [5] && vh.shape == [5, shape[1]])
        #expect(u.elementType == .f32 && s.elementType == .f64 && vh.elementType == .f32)
        let product = output.product(module.module)
        let delta = isEmbedding ? transposed(truth.values, rows: shape[1]) : truth.values
        let left = zip(delta, product).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        #expect(abs(module.residual * module.residual - left) < 1e-5 * left, "\(name)")
        #expect(abs(module.norm * module.norm - truth.energy) < 1e-6 * truth.energy)
        #expect(abs(module.tailEnergy - left) < 1e-4 * left)
        let optimum = try truth.optimum(rank: 5)
        #expect(s.values.reduce(0) { $0 + $1 * $1 } > 0.998 * optimum)
        let binades = pair.tuned[name].values.reduce(0) { $0 + pow(4, Double($1.exponent)) }
        #expect(abs(module.binadeEnergy - binades) < 1e-12 * binades)
      }
    }

    private func transposed(_ values: [Double], rows: Int) -> [Double] {
      let columns = values.count / rows
      return (0..<columns).flatMap { column in (0..<rows).map { values[$0 * columns + column] } }
    }

    @Test("the folder is the same bytes for any number of ranks, in one file or in many", arguments: [2, 3])
    func sameBytes(ranks: Int) throws {
      let workspace = try Workspace(.small(layers: 12))
      let options = ["--rank", "4", "--head", "--shard-size", "6K"]
      #expect(try workspace.decompose(options).status == 0)
      let alone = try DecompositionOutput(workspace.decompositionPath)
      let shards = alone.files.keys.filter { $0.hasSuffix(".safetensors") }.sorted()
      #expect(
        shards.count > 3
          && shards.last?.hasSuffix("-0000\(shards.count)-of-0000\(shards.count).safetensors") ?? false)
      let other = workspace.folder.file("other")
      #expect(try workspace.decompose(options, ranks: ranks, to: other).status == 0)
      #expect(try DecompositionOutput(other).files == alone.files)
      let whole = workspace.folder.file("whole")
      #expect(try workspace.decompose(["--rank", "4", "--head"], to: whole).status == 0)
      let tensors = try DecompositionOutput(whole).tensors
      #expect(tensors.mapValues(\.bytes) == alone.tensors.mapValues(\.bytes))
      for file in alone.files.keys where file.hasSuffix(".safetensors") {
        #expect((alone.files[file]?.count ?? 0) < 6 * 1024 + 4096, "\(file)")
      }
    }

    @Test("one model's own weights come back from all their triplets, and make no adapter")
    func weights() throws {
      let workspace = try Workspace()
      let result = try Workspace.run(
        [
          "decompose", workspace.basePath, "-o", workspace.decompositionPath, "--rank-fraction", "1",
          "--head",
        ])
      try #require(result.status == 0, "\(result.errorOutput)")
      let output = try DecompositionOutput(workspace.decompositionPath)
      #expect(output.record.source == "weights" && output.record.modules.count == 5)
      for module in output.record.modules {
        let weight = ModelPair.small().base[module.module + ".weight"]
        #expect(module.rank == weight.shape.min())
        let error = zip(output.product(module.module), weight.values).map { abs($0 - $1) }.max() ?? 1
        #expect(error < 2e-6, "\(module.module)")
      }
      let adapter = try workspace.adapterOfDecomposition()
      #expect(adapter.status == 65)
      #expect(adapter.errorOutput.contains("holds one model's own weights"))
      #expect(access(workspace.outputPath, F_OK) != 0)
    }

    @Test("a killed job carries on to the same bytes, and a finished one says so")
    func killed() throws {
      var random = SplitMix64(state: 11)
      func model() -> ModelFixture {
        ModelFixture(
          (0..<48).map { layer in
            FixtureTensor(
              "model.layers.\(layer).mlp.up_proj.weight", shape: [320, 256],
              (0..<320 * 256).map { _ in random.nextUniform() })
          })
      }
      let workspace = try Workspace(ModelPair(base: model(), tuned: model()))
      let options = ["--rank", "8", "--method", "dense"]
      let undisturbed = workspace.folder.file("undisturbed")
      #expect(try workspace.decompose(options, to: undisturbed).status == 0)
      let running = try Workspace.start(
        ["decompose", workspace.basePath, workspace.tunedPath, "-o", workspace.decompositionPath] + options)
      let journal = workspace.decompositionPath + ".partial/journal/000001.safetensors"
      while kill(running.identifier, 0) == 0 && access(journal, F_OK) != 0 { usleep(200) }
      kill(running.identifier, SIGKILL)
      try #require(running.result(timeoutSeconds: 50).status == 128 + SIGKILL)
      #expect(access(workspace.decompositionPath, F_OK) != 0)
      // Not an extraction's journal, though everything else is the same.
      let extraction = try Workspace.run(
        ["extract", workspace.basePath, workspace.tunedPath, "-o", workspace.decompositionPath] + options)
      #expect(extraction.status == 65)
      let resumed = try workspace.decompose(options, ranks: 2)
      #expect(resumed.status == 0)
      #expect(resumed.sentences.contains { $0.hasPrefix("unbraid: carrying on: ") })
      #expect(
        try DecompositionOutput(workspace.decompositionPath).files == DecompositionOutput(undisturbed).files)
      let again = try workspace.decompose(options)
      #expect(again.status == 0 && again.output.contains(": is complete already: 48 of 48 modules"))
      let other = try Workspace.run(
        ["extract", workspace.basePath, workspace.tunedPath, "-o", workspace.decompositionPath] + options)
      #expect(other.status == 65 && other.errorOutput.contains("already holds"))
    }

    @Test("two equal models are refused")
    func identical() throws {
      var pair = ModelPair.small()
      pair.tuned = pair.base
      let workspace = try Workspace(pair)
      let result = try workspace.decompose()
      #expect(result.status == 65)
      #expect(result.errorOutput.contains("the two models are identical"))
      #expect(access(workspace.decompositionPath, F_OK) != 0)
    }
  }
}
