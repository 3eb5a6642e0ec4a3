import Foundation
import TestSupport
import Testing

extension UnbraidSuite {
  /// PEFT's `target_parameters` verified, resized, compared and projected, expert by expert.
  @Suite struct ExpertAdapterTests {
    private static let down = "model.layers.0.mlp.experts.down_proj"
    private static let experts = "model.layers.0.mlp.experts"

    @Test(
      "verify tells what is left of every expert, in stacks and in modules, on any number of ranks",
      arguments: [true, false], [nil, 3])
    func verify(isStack: Bool, ranks: Int?) throws {
      let folder = try TemporaryFolder()
      let factors = FusedFactors(Self.down, wrapper: Self.experts, rank: 2, inputs: 5, outputs: 7)
      var adapter = LoRAFixture()
      adapter.fields = ["r": "2", "lora_alpha": "1", "target_parameters": #"["experts.down_proj"]"#]
      adapter.add(factors)
      try adapter.write(to: folder.file("adapter"))
      var random = SplitMix64(state: 3)
      func noise(_ count: Int) -> [Double] { (0..<count).map { _ in random.nextUniform() } }
      let deltas = (0..<3).map { _ in noise(35).map { (8 * $0).rounded() } }
      func model(_ share: Double) -> ModelFixture {
        let weights = deltas.map { $0.map { $0 * share + 1 } }
        let gateUp = FixtureTensor(
          Self.experts + ".gate_up_proj", shape: [3, 2, 2], Array(repeating: share, count: 12))
        let down =
          isStack
          ? [FixtureTensor(Self.down, shape: [3, 7, 5], weights.flatMap(\.self))]
          : weights.enumerated().map {
            FixtureTensor("\(Self.experts).\($0).down_proj.weight", shape: [7, 5], $1)
          }
        return ModelFixture(down + [gateUp])
      }
      try model(0).write(to: folder.file("base"))
      try model(1).write(to: folder.file("tuned"))
      let result = try Workspace.run(
        ["verify", folder.file("base"), folder.file("tuned"), folder.file("adapter"), "--json"], ranks: ranks)
      try #require(result.status == 0, "\(result.errorOutput)")
      let report = try JSONDecoder().decode(Verified.self, from: Data(result.output.utf8))
      #expect(
        report.covered.map(\.name)
          == (0..<3).map { isStack ? "\(Self.down)[\($0)]" : "\(Self.experts).\($0).down_proj" })
      for (expert, record) in report.covered.enumerated() {
        let left = zip(deltas[expert], factors.product(expert)).map { $0 - $1 / 2 }
        let truth = (norm(left), norm(deltas[expert]))
        #expect(record.rank == 2 && record.shape == [7, 5])
        #expect(abs(record.residual / truth.0 - 1) < 1e-6 && abs(record.norm / truth.1 - 1) < 1e-6)
      }
      #expect(report.uncovered.map(\.tensor) == [Self.experts + ".gate_up_proj"])
    }

    /// Singular values 4 and 2 of the first expert, 8 and 1 of the second.
    private static func planted() -> LoRAFixture {
      var (a, b) = ([Double](repeating: 0, count: 4 * 6), [Double](repeating: 0, count: 7 * 4))
      for (expert, values) in [[4.0, 2], [8, 1]].enumerated() {
        for (component, value) in values.enumerated() {
          a[(expert * 2 + component) * 6 + expert + component] = 1
          b[(2 * component + expert) * 4 + component * 2 + expert] = value
        }
      }
      var adapter = LoRAFixture()
      adapter.fields = [
        "r": "2", "lora_alpha": "2", "target_modules": "[]", "target_parameters": #"["experts.down_proj"]"#,
        "peft_version": #""0.21.2""#,
      ]
      adapter.add(
        FusedFactors(Self.down, wrapper: experts, count: 2, rank: 2, inputs: 6, outputs: 7, a: a, b: b))
      return adapter
    }

    @Test("resize chooses for every expert; all get the largest rank, with zeros")
    func resize() throws {
      let folder = try TemporaryFolder()
      try Self.planted().write(to: folder.file("adapter"))
      for (ratio, rank, norms) in [("2.01", 2, [20.0, 64]), ("1.5", 1, [16, 64])] {
        let output = folder.file("r\(rank)")
        let result = try Workspace.run(
          ["resize", folder.file("adapter"), "-o", output, "--sv-ratio", ratio])
        try #require(result.status == 0, "\(result.errorOutput)")
        let tensors = try RawSafetensors.read(output + "/adapter_model.safetensors")
        let prefix = "base_model.model.\(Self.experts).lora_"
        let (a, b) = try (#require(tensors[prefix + "A.weight"]), #require(tensors[prefix + "B.weight"]))
        #expect(tensors.count == 2 && a.shape == [2 * rank, 6] && b.shape == [7, 2 * rank])
        let factors = FusedFactors(
          Self.down, wrapper: Self.experts, count: 2, rank: rank, inputs: 6, outputs: 7, a: a.values,
          b: b.values)
        for (expert, expected) in norms.enumerated() {
          let found = norm(factors.product(expert))
          #expect(abs(found * found - expected) < 1e-4, "\(expert): \(found)")
        }
        let configuration = try Self.configuration(output)
        #expect(configuration["target_parameters"] as? [String] == [Self.down])
        #expect(configuration["r"] as? Int == rank && configuration["lora_alpha"] as? Int == rank)
        // The version says in which order the factors are.
        #expect(configuration["peft_version"] as? String == "0.21.2")
      }
    }

    @Test("overlap compares experts one by one, and --project-out takes each one's directions out")
    func overlap() throws {
      let folder = try TemporaryFolder()
      let fields = ["r": "2", "lora_alpha": "2", "target_parameters": #"["experts.down_proj"]"#]
      for (name, seed) in [("a", UInt64(1)), ("b", 2)] {
        var adapter = LoRAFixture()
        adapter.fields = fields
        adapter.add(
          FusedFactors(Self.down, wrapper: Self.experts, rank: 2, inputs: 12, outputs: 15, seed: seed))
        try adapter.write(to: folder.file(name))
      }
      func report(_ first: String) throws -> Overlapping {
        let result = try Workspace.run(["overlap", folder.file(first), folder.file("b"), "--json"])
        try #require(result.status == 0, "\(result.errorOutput)")
        return try JSONDecoder().decode(Overlapping.self, from: Data(result.output.utf8))
      }
      #expect(try report("b").modules.map(\.module) == (0..<3).map { "\(Self.down)[\($0)]" })
      #expect(try report("b").modules.allSatisfy { $0.firstInSecond.both > 1 - 1e-5 })
      #expect(try report("a").modules.allSatisfy { $0.firstInSecond.both > 1e-3 })
      let result = try Workspace.run([
        "export", folder.file("a"), "--for", "peft", "-o", folder.file("rest"), "--project-out",
        folder.file("b"),
      ])
      #expect(result.sentences == ["unbraid: note: --project-out changes 3 of 3 modules"])
      let rest = try report("rest").modules
      #expect(rest.count == 3)
      #expect(rest.allSatisfy { $0.firstInSecond.outputs < 1e-12 && $0.firstInSecond.inputs < 1e-12 })
    }

    private struct Verified: Decodable {
      let covered: [Covered]
      let uncovered: [Uncovered]

      struct Covered: Decodable {
        let name: String
        let shape: [Int]
        let rank: Int?
        let norm: Double
        let residual: Double
      }

      struct Uncovered: Decodable {
        let tensor: String
      }
    }

    private struct Overlapping: Decodable {
      let modules: [Module]

      struct Module: Decodable {
        let module: String
        let firstInSecond: Sides
      }

      struct Sides: Decodable {
        let outputs: Double
        let inputs: Double
        let both: Double
      }
    }

    private static func configuration(_ folder: String) throws -> [String: Any] {
      let bytes = try Data(contentsOf: URL(filePath: folder + "/adapter_config.json"))
      return try JSONSerialization.jsonObject(with: bytes) as? [String: Any] ?? [:]
    }
  }
}

private func norm(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }
