import Checkpoints
import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  @Suite struct DifferenceScanTests {
    private static let planted = "model.layers.0.self_attn.q_proj"
    private static let unchanged = "model.layers.1.self_attn.q_proj"
    private static let graded = "model.layers.0.mlp.up_proj"

    /// A base model, and fine-tunes of it whose differences have these diagonals.
    private func written() throws -> TemporaryFolder {
      let diagonals = [
        Self.planted: [8, 4, 2], Self.unchanged: [],
        Self.graded: (1...64).map { 0.01 / Double($0).squareRoot() },
      ]
      var base: [FixtureTensor] = []
      var tuned: [FixtureTensor] = []
      for (module, diagonal) in diagonals.sorted(by: { $0.key < $1.key }) {
        let shape = module == Self.graded ? [64, 64] : [8, 12]
        // Off the diagonal the models are equal.
        var values = (0..<shape[0] * shape[1]).map { $0 % (shape[1] + 1) == 0 ? 0 : Double($0 % 7) }
        base.append(FixtureTensor(module + ".weight", shape: shape, values))
        for (index, value) in diagonal.enumerated() { values[index * (shape[1] + 1)] = value }
        tuned.append(FixtureTensor(module + ".weight", shape: shape, values))
      }
      tuned.append(FixtureTensor("model.layers.2.self_attn.q_proj.weight", shape: [2, 2], [1, 2, 3, 4]))
      let folder = try TemporaryFolder()
      try ModelFixture(base).write(to: folder.file("base"))
      try ModelFixture(tuned).write(to: folder.file("tuned"), shardCount: 2)
      return folder
    }

    private func scan(
      _ folder: TemporaryFolder, _ options: [String] = [], ranks: Int? = nil, output: String = "out"
    ) throws -> ProcessResult {
      try Workspace.run(
        ["scan", folder.file("base"), folder.file("tuned"), "--name", "chat", "-o", folder.file(output)]
          + options, ranks: ranks)
    }

    private struct Record: Decodable {
      struct Module: Decodable {
        struct Measures: Decodable {
          struct PowerLaw: Decodable {
            let alpha: Double
            let tailCount: Int
          }
          let largest, smallest, norm, noise, noiseEdge, energyAboveEdge, stableRank, entropyRank: Double
          let aboveEdge: Int
          let powerLaw: PowerLaw?
          let conditionNumber: Double?
        }
        let module: String
        let spectrumRatio: Double?
        let measures: Measures
      }
      let base: String?
      let modules: [Module]

      subscript(_ module: String) -> Module.Measures? { modules.first { $0.module == module }?.measures }
    }

    private func record(_ folder: TemporaryFolder) throws -> Record {
      let path = folder.file("out/spectra_chat.json")
      return try JSONDecoder().decode(Record.self, from: Data(contentsOf: URL(filePath: path)))
    }

    @Test("a planted difference has the measures of its singular values, and what did not change has zeros")
    func measures() throws {
      let folder = try written()
      let result = try scan(folder)
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect(
        result.sentences == [
          "unbraid: note: 1 tensor is in one model alone or of another shape there and not scanned, such as "
            + "'model.layers.2.self_attn.q_proj.weight' [2, 2]"
        ])
      #expect(result.output.contains("\(folder.file("out")): 2 of 3 modules changed, "))
      let record = try record(folder)
      #expect(record.base == folder.file("base") && record.modules.allSatisfy { $0.spectrumRatio == nil })
      let planted = try #require(record[Self.planted])
      #expect(planted.largest == 8 && planted.smallest == 0 && planted.conditionNumber == nil)
      #expect(abs(planted.norm - 84.0.squareRoot()) < 1e-12)
      #expect(abs(planted.stableRank - 1.3125) < 1e-12)
      #expect(abs(planted.entropyRank - 2.6004900059896596) < 1e-12)
      #expect(planted.noiseEdge == 0 && planted.aboveEdge == 3 && planted.energyAboveEdge == 1)
      #expect(planted.powerLaw == nil, "of three values")
      let unchanged = try #require(record[Self.unchanged])
      #expect(unchanged.norm == 0 && unchanged.stableRank == 0 && unchanged.entropyRank == 0)
      #expect(unchanged.aboveEdge == 0 && unchanged.conditionNumber == nil && unchanged.powerLaw == nil)
      let graded = try #require(record[Self.graded])
      // WeightWatcher's for ten times as much; at this size most squares are below the limit that it has for weights.
      #expect(abs(try #require(graded.powerLaw).alpha - 2.0491748609389466) < 1e-5)
      #expect(graded.powerLaw?.tailCount == 64)
      #expect(abs(try #require(graded.conditionNumber) - 8) < 1e-5)
      let values = try RawSafetensors.read(folder.file("out/singular_values.safetensors"))
      #expect(values[Self.planted]?.values == [8, 4, 2, 0, 0, 0, 0, 0])
    }

    @Test("any number of ranks writes the same files, none of which is Spectrum's")
    func files() throws {
      let folder = try written()
      let names = ["singular_values.safetensors", "spectra_chat.csv", "spectra_chat.json"]
      for ranks in [1, 2, 3] {
        let result = try scan(folder, ranks: ranks, output: "ranks\(ranks)")
        try #require(result.status == 0, "\(result.errorOutput)")
        let path = folder.file("ranks\(ranks)")
        #expect(
          try FileManager.default.contentsOfDirectory(atPath: path).sorted() == ["report.json"] + names)
        for name in names {
          let bytes = FileManager.default.contents(atPath: "\(path)/\(name)")
          #expect(
            bytes != nil && bytes == FileManager.default.contents(atPath: folder.file("ranks1/\(name)")))
        }
      }
      let table = try String(contentsOfFile: folder.file("ranks1/spectra_chat.csv"), encoding: .utf8)
      #expect(!table.contains("nan") && !table.contains("inf"))
      #expect(
        try scan(folder, output: "ranks3").output.contains(": is complete already: 2 of 3 modules changed"))
      #expect(
        try scan(folder, ["--modules", "q_proj"], output: "ranks3").status != 0, "another job's folder")
    }

    @Test(
      "what a difference has not is refused",
      arguments: [
        (["base", "tuned", "--compat"], "the published tool knows no differences, "),
        (["base", "tuned", "--top-percent", "25"], "the published tool knows no differences, "),
        (["base", "--mixed-dtypes"], "--mixed-dtypes is for two models; "),
        (
          ["base", "tuned", "--from", "file"], "give the folder of a model, or --from with a file of results"
        ),
      ])
    func commandLine(options: [String], sentence: String) throws {
      let result = try Workspace.run(["scan"] + options)
      #expect(result.status == 64)
      #expect(result.errorOutput.hasPrefix("Error: \(sentence)"), "\(result.errorOutput)")
    }

    @Test("types of numbers that differ are refused unless they are allowed to")
    func mixedTypes() throws {
      let folder = try written()
      let name = Self.planted + ".weight"
      try ModelFixture([FixtureTensor(name, .bf16, shape: [8, 12], [Double](repeating: 0, count: 96))])
        .write(to: folder.file("base"))
      let refused = try scan(folder)
      #expect(refused.status == 65 && refused.errorOutput.contains("'\(name)'"), "\(refused.errorOutput)")
      #expect(try scan(folder, ["--mixed-dtypes"]).output.contains(": 1 of 1 modules changed"))
    }
  }
}
