import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// What two adapters share, and one without the other.
  @Suite struct OverlapTests {
    private static let query = "model.layers.0.self_attn.q_proj"
    private static let up = "model.layers.1.mlp.up_proj"

    /// What `--json` prints.
    private struct Report: Decodable {
      let cosine: Double
      let firstInSecond: Sides
      let secondInFirst: Sides
      let chance: [Sides]
      let modules: [Module]
      let components: [Component]
      let onlyInFirst: [String]
      let onlyInSecond: [String]

      struct Sides: Decodable {
        let outputs: Double
        let inputs: Double
        let both: Double
        var all: [Double] { [outputs, inputs, both] }
      }

      struct Module: Decodable {
        let module: String
        let ranks: [Int]
        let norms: [Double]
        let cosine: Double
        let firstInSecond: Sides
        let outputCosines: [Double]
        let inputCosines: [Double]
        let directions: [Direction]
      }

      struct Direction: Decodable {
        let value: Double
        let part: Sides
      }

      struct Component: Decodable {
        let name: String
        let energy: Double
        let part: Sides
      }
    }

    /// An adapter whose module has directions given as lists of (output vector, input vector, σ), in `count` dimensions.
    private static func planted(
      _ directions: [(out: [Double], in: [Double], value: Double)], _ module: String = query,
      fields: String = ""
    ) throws -> AdapterFixture {
      let (rank, outputs, inputs) = (directions.count, directions[0].out.count, directions[0].in.count)
      let b = (0..<outputs).flatMap { row in directions.map { $0.out[row] * $0.value } }
      let prefix = "base_model.model.\(module).lora_"
      return try AdapterFixture(
        tensors: [
          FixtureTensor(prefix + "A.weight", shape: [rank, inputs], directions.flatMap(\.in)),
          FixtureTensor(prefix + "B.weight", shape: [outputs, rank], b),
        ], fields: #""r":\#(rank),"lora_alpha":\#(rank)"# + fields)
    }

    private static func unit(_ count: Int, _ entries: [Int: Double]) -> [Double] {
      (0..<count).map { entries[$0] ?? 0 }
    }

    private func overlap(_ first: String, _ second: String) throws -> Report {
      let result = try Workspace.run(["overlap", first, second, "--json"])
      try #require(result.status == 0, "\(result.errorOutput)")
      return try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
    }

    @Test("planted angles come out, and energies count each direction by its σ²")
    func plantedAngles() throws {
      let (first, second) = (0.3, 1.1)
      let a = try Self.planted([
        (Self.unit(6, [0: 1]), Self.unit(5, [0: 1]), 2), (Self.unit(6, [1: 1]), Self.unit(5, [1: 1]), 1),
      ])
      let b = try Self.planted([
        (Self.unit(6, [0: cos(first), 2: sin(first)]), Self.unit(5, [0: 1]), 3),
        (Self.unit(6, [1: cos(second), 3: sin(second)]), Self.unit(5, [4: 1]), 0.5),
      ])
      let report = try overlap(a.path, b.path)
      let module = try #require(report.modules.first)
      #expect(module.ranks == [2, 2])
      #expect(largestDifference(module.norms, [5.0, 9.25].map { $0.squareRoot() }) < 1e-6)
      #expect(largestDifference(module.outputCosines, [cos(first), cos(second)]) < 1e-6)
      #expect(largestDifference(module.inputCosines, [1, 0]) < 1e-6)
      let written = (4 * cos(first) * cos(first) + cos(second) * cos(second)) / 5
      let both = 4 * cos(first) * cos(first) / 5
      #expect(largestDifference(module.firstInSecond.all, [written, 0.8, both]) < 1e-6)
      #expect(abs(module.cosine - 2 * 3 * cos(first) / (5 * 9.25).squareRoot()) < 1e-6)
      #expect(largestDifference(module.directions.map(\.value), [2, 1]) < 1e-6)
      #expect(largestDifference(module.directions[1].part.all, [cos(second) * cos(second), 0, 0]) < 1e-6)
      #expect(largestDifference(report.chance[0].all, [2.0 / 6, 2.0 / 5, 4.0 / 30]) < 1e-9)
    }

    @Test("an adapter overlaps with itself to 1 and with an orthogonal one to 0, whatever its scale")
    func extremes() throws {
      let pairs = [
        AdapterFixture.Pair(Self.query, rank: 3, inputs: 20, outputs: 30),
        AdapterFixture.Pair(Self.up, rank: 12, inputs: 9, outputs: 40),
      ]
      let fields = #""r":3,"rank_pattern":{"up_proj":12},"lora_alpha":"#
      let (a, b) = (
        try AdapterFixture(pairs, fields: fields + "3"), try AdapterFixture(pairs, fields: fields + "-60")
      )
      let same = try overlap(a.path, b.path)
      for part in [same.firstInSecond, same.secondInFirst] {
        #expect(largestDifference(part.all, [1, 1, 1]) < 1e-5)
      }
      #expect(abs(same.cosine + 1) < 1e-5)
      #expect(same.modules.map { $0.ranks } == [[9, 9], [3, 3]])
      #expect(same.modules.allSatisfy { ($0.outputCosines + $0.inputCosines).allSatisfy { $0 > 1 - 1e-5 } })
      let c = try Self.planted([(Self.unit(6, [0: 1]), Self.unit(5, [0: 1]), 2)])
      let d = try Self.planted([(Self.unit(6, [1: 1]), Self.unit(5, [1: 1]), 2)])
      let orthogonal = try overlap(c.path, d.path)
      #expect(orthogonal.cosine == 0 && orthogonal.firstInSecond.all == [0, 0, 0])
    }

    @Test(
      "nothing of the other is left after --project-out, on the side that was asked for",
      arguments: ["out", "in", "both"])
    func projectOut(side: String) throws {
      let pairs = [
        AdapterFixture.Pair(Self.query, rank: 4, inputs: 20, outputs: 30),
        AdapterFixture.Pair(Self.up, rank: 4, inputs: 12, outputs: 18),
      ]
      let a = try AdapterFixture(pairs, fields: #""r":4,"lora_alpha":8"#, seed: 1)
      let b = try AdapterFixture([pairs[0]], fields: #""r":4,"lora_alpha":4"#, seed: 2)
      let result = try a.export(for: "peft", ["--project-out", b.path, "--project-side", side])
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect(result.sentences == ["unbraid: note: --project-out changes 1 of 2 modules"])
      let before = try overlap(a.path, b.path)
      let after = try overlap(a.outputPath, b.path)
      #expect(before.firstInSecond.all.allSatisfy { $0 > 0.005 })
      #expect(after.firstInSecond.outputs < 1e-12 || side == "in")
      #expect(after.firstInSecond.inputs < 1e-12 || side == "out")
      #expect(after.firstInSecond.both < 1e-12 && abs(after.cosine) < 1e-6)
      // What is not asked for stays: the other side, the rank, the other module.
      #expect(side != "out" || abs(after.firstInSecond.inputs) > 0.05)
      #expect(after.modules.map(\.ranks) == [[4, 4]])
      let tensors = try RawSafetensors.read(a.folder.file("out/adapter_model.safetensors"))
      for tensor in a.tensors where tensor.name.contains("up_proj") {
        #expect(tensors[tensor.name]?.bytes == tensor.bytes)
      }
      // (I − P)·Δ: what is gone is what the definition says, no more.
      if side == "out" {
        let (whole, rest) = (before.modules[0].norms[0], after.modules[0].norms[0])
        let gone = before.modules[0].firstInSecond.outputs
        #expect(abs(rest * rest / (whole * whole) - (1 - gone)) < 1e-5)
      }
    }

    @Test(
      "a component of a joint decomposition overlaps as the adapter made of it alone does",
      arguments: [
        (["--method", "tucker", "--rank", "4"], "q_proj:out1"), (["--rank", "4"], "up_proj:in0"),
        (["--method", "cp", "--rank", "2"], "q_proj:1"),
        (["--method", "shared", "--side", "out", "--rank", "3"], "down_proj:2"),
        (["--method", "shared", "--side", "in", "--rank", "3"], "down_proj:0"),
      ])
    func components(options: [String], name: String) throws {
      let workspace = try Workspace(JointPair.noise())
      func run(_ arguments: [String]) throws {
        let result = try Workspace.run(arguments)
        try #require(result.status == 0, "\(result.errorOutput)")
      }
      let (joint, alone) = (workspace.folder.file("joint"), workspace.folder.file("alone"))
      try run(["joint", workspace.basePath, workspace.tunedPath, "-o", joint, "--no-compare"] + options)
      try run(["adapter", joint, "-o", alone, "--keep", name])
      _ = try workspace.adapter(["--rank", "3"])
      let component = try #require(
        try overlap(joint, workspace.outputPath).components.first { $0.name == name })
      let report = try overlap(alone, workspace.outputPath)
      let energy = report.modules.reduce(0) { $0 + $1.norms[0] * $1.norms[0] }
      #expect(abs(component.energy / energy - 1) < 1e-5)
      #expect(largestDifference(component.part.all, report.firstInSecond.all) < 1e-5)
      let itself = try overlap(joint, joint)
      #expect(itself.components.allSatisfy { $0.part.both > 1 - 1e-4 })
      #expect(largestDifference(itself.firstInSecond.all, [1, 1, 1]) < 1e-5)
    }

    @Test("a decomposition has the updates of the adapter made of it")
    func decomposition() throws {
      let workspace = try Workspace(JointPair.noise())
      let folder = workspace.folder.file("decomposition")
      let made = try Workspace.run([
        "decompose", workspace.basePath, workspace.tunedPath, "-o", folder, "--rank", "4",
      ])
      try #require(made.status == 0, "\(made.errorOutput)")
      _ = try workspace.adapter(["--rank", "4", "--factor-dtype", "f32"])
      for (first, second) in [(folder, workspace.outputPath), (workspace.outputPath, folder)] {
        let report = try overlap(first, second)
        #expect(abs(report.cosine - 1) < 1e-5)
        #expect(largestDifference(report.firstInSecond.all, [1, 1, 1]) < 1e-5)
        #expect(report.onlyInFirst.isEmpty && report.onlyInSecond.isEmpty)
      }
    }

    @Test("the picture has every module of both panels and is XML")
    func heatMap() throws {
      let pairs = [
        AdapterFixture.Pair(Self.query, rank: 2, inputs: 20, outputs: 30),
        AdapterFixture.Pair(Self.up, rank: 2, inputs: 12, outputs: 18),
        AdapterFixture.Pair("lm_head", rank: 2, inputs: 12, outputs: 18),
      ]
      let (a, b) = (try AdapterFixture(pairs, seed: 1), try AdapterFixture(pairs, seed: 2))
      let path = a.folder.file("overlap.svg")
      let result = try Workspace.run(["overlap", a.path, b.path, "--heat-map", path])
      try #require(result.status == 0, "\(result.errorOutput)")
      #expect(result.output.contains("3 modules in common"))
      let picture = try String(contentsOf: URL(filePath: path), encoding: .utf8)
      for pair in pairs { #expect(picture.ranges(of: "<title>\(pair.path): ").count == 2) }
      for word in ["outside", "self_attn.q_proj", "A in B", "B in A", "layer"] {
        #expect(picture.contains(word))
      }
      let stripped = picture.replacing(#/<(\w+)([^<>]*[^\/<>])?>[^<>]*<\/\1>|<\w+[^<>]*\/>/#, with: "")
      let outer = stripped.replacing(#/<(rect)[^<>]*>\s*<\/\1>/#, with: "").trimmingCharacters(
        in: .whitespacesAndNewlines)
      #expect(outer.hasPrefix("<svg ") && outer.hasSuffix("</svg>") && outer.ranges(of: "<").count == 2)
    }

    @Test("what does not fit together is refused in one sentence")
    func refusals() throws {
      let a = try AdapterFixture([.init(Self.query, rank: 2, inputs: 6, outputs: 8)])
      func expect(
        _ sentence: String, _ second: String, status: Int32 = 65,
        sourceLocation: SourceLocation = #_sourceLocation
      ) throws {
        for arguments in [
          ["overlap", a.path, second],
          ["export", a.path, "--for", "peft", "-o", a.outputPath, "--project-out", second],
        ] {
          let result = try Workspace.run(arguments)
          #expect(result.status == status, sourceLocation: sourceLocation)
          #expect(
            result.errorOutput.contains(sentence), "\(result.errorOutput)", sourceLocation: sourceLocation)
          #expect(result.sentences.count == 1 && result.output.isEmpty, sourceLocation: sourceLocation)
          #expect(!a.folder.contents.contains { $0.hasPrefix("out") }, sourceLocation: sourceLocation)
        }
      }
      let other = try AdapterFixture([.init(Self.up, rank: 2, inputs: 6, outputs: 8)])
      try expect(
        "have no module in common: the first has '\(Self.query)', the second '\(Self.up)'; give two of one base model",
        other.path)
      let larger = try AdapterFixture([.init(Self.query, rank: 2, inputs: 6, outputs: 9)])
      try expect("module '\(Self.query)' is 8 × 6 in \(a.path) and 9 × 6 in \(larger.path)", larger.path)
      try expect("holds no adapter_config.json", a.folder.path)
    }

    @Test(
      "a decomposition of several fine-tunes needs the number of one; a prefix that only one has does not matter"
    )
    func names() throws {
      let pair = JointPair.noise()
      let workspace = try Workspace(pair)
      let joint = workspace.folder.file("joint")
      let made = try Workspace.run([
        "joint", workspace.basePath, workspace.tunedPath, workspace.tunedPath, "-o", joint, "--no-compare",
        "--rank", "4",
      ])
      try #require(made.status == 0, "\(made.errorOutput)")
      let refused = try Workspace.run(["overlap", joint, joint])
      #expect(refused.status == 64)
      #expect(refused.errorOutput.contains("holds 2 fine-tuned models"))
      #expect(try largestDifference(overlap(joint + "#0", joint + "#1").firstInSecond.all, [1, 1, 1]) < 1e-5)
      #expect(try Workspace.run(["overlap", joint + "#2", joint + "#0"]).status == 64)
      let direction = (Self.unit(6, [0: 1]), Self.unit(5, [0: 1]), 2.0)
      let (long, short) = (
        try Self.planted([direction]), try Self.planted([direction], String(Self.query.dropFirst(6)))
      )
      #expect(try largestDifference(overlap(long.path, short.path).firstInSecond.all, [1, 1, 1]) < 1e-6)
      #expect(try largestDifference(overlap(short.path, long.path).firstInSecond.all, [1, 1, 1]) < 1e-6)
    }
  }
}
