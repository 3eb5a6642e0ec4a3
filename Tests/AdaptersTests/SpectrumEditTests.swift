import Adapters
import Testing
import WeightSources

/// Edits of singular values: what is kept, and what it becomes.
@Suite struct SpectrumEditTests {
  private static let modules = [
    "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj", "model.layers.12.self_attn.q_proj",
    "lm_head",
  ]

  /// What becomes of 8, 4, 2 and 1 in each of the modules.
  private func choices(_ change: (inout SpectrumEdit) throws -> Void) throws -> [TripletChoice] {
    var rules = TripletRules()
    try change(&rules.edit)
    let spectra = Self.modules.map {
      ModuleSpectrum(
        module: $0, values: [8, 4, 2, 1], shape: [9, 9], energy: 0, isComplete: true, binadeEnergy: 0)
    }
    return try rules.choices(for: spectra, bytesPerNumber: 2).choices
  }

  private func kept(_ texts: [String]) throws -> [SpectrumEdit.NumberRule] {
    try texts.map { try SpectrumEdit.NumberRule($0, option: "--keep") }
  }

  @Test("no edit keeps everything as it is")
  func nothing() throws {
    for choice in try choices({ _ in }) {
      #expect(choice.numbers == [0, 1, 2, 3] && choice.values == [8, 4, 2, 1])
    }
  }

  @Test("a module keeps what any rule for it keeps, less what any rule drops")
  func keepAndDrop() throws {
    let found = try choices {
      $0.keep = try kept(["q_proj:0", "q_proj:2-", "layers\\.1\\.:1"])
      $0.drop = try kept([".12.:3", "0,9"])
    }
    #expect(found.map(\.numbers) == [[2, 3], [1], [2], [1, 2, 3]])
    #expect(found[0].values == [2, 1])
  }

  @Test("values are multiplied by every factor for them, by number")
  func factors() throws {
    let found = try choices {
      $0.factors = [
        try .init(.scale, "0.5"), try .init(.scale, "q_proj:0-1=-3"), try .init(.power, "lm_head:1"),
        try .init(.decay, "up_proj:1-2=0.25"), try .init(.scale, "(?:up|gate)_proj:3=0"),
      ]
    }
    #expect(found[0].values == [-12, -6, 1, 0.5])
    #expect(found[2].values == [-12, -6, 1, 0.5])
    #expect(found[3].values == [4, 1, 1.0 / 3, 0.125])
    // A value of zero is none.
    #expect(found[1].numbers == [0, 1, 2])
    let decayed = [4, 2 * 0.7788007830714049, 1 * 0.6065306597126334]
    for (value, expected) in zip(found[1].values, decayed) { #expect(abs(value - expected) < 1e-15) }
  }

  @Test("jitter is the same for the same seed and module, and stays within its bounds")
  func jitter() throws {
    func jittered(_ seed: UInt64, _ amount: String = "0.25") throws -> [[Double]] {
      try choices {
        $0.factors = [try .init(.jitter, amount)]
        $0.seed = seed
      }.map(\.values)
    }
    let first = try jittered(1)
    #expect(try jittered(1) == first)
    #expect(try jittered(2) != first)
    #expect(Set(first).count == 4, "every module has numbers of its own")
    for values in first {
      #expect(Set(zip(values, [8.0, 4, 2, 1]).map { $0 / $1 }).count == 4, "and every value")
    }
    for values in first {
      for (value, whole) in zip(values, [8.0, 4, 2, 1]) {
        #expect(abs(value / whole - 1) < 0.25 && value != whole)
      }
    }
    // Twice the amount is twice the change.
    for (twice, once) in zip(try jittered(1, "0.5"), first) {
      for (number, whole) in [8.0, 4, 2, 1].enumerated() {
        #expect(abs((twice[number] - whole) - 2 * (once[number] - whole)) < 1e-12)
      }
    }
  }

  @Test("layers go by the first number in a path; modules outside them stay")
  func layers() throws {
    let only = try choices { $0.layers = try #require(TripletNumbers("0,12-")) }
    #expect(only.map(\.numbers.count) == [4, 0, 4, 4])
    let without = try choices { $0.droppedLayers = try #require(TripletNumbers("0-1")) }
    #expect(without.map(\.numbers.count) == [0, 0, 4, 4])
  }

  @Test("limits count the decomposition's values, before edits; budgets what edits leave")
  func order() throws {
    var rules = TripletRules()
    rules.limits.rank = 3
    rules.edit.drop = try kept(["0"])
    rules.edit.factors = [try .init(.scale, "2=10")]
    let spectra = [
      ModuleSpectrum(
        module: "m", values: [8, 4, 2, 1], shape: [9, 9], energy: 0, isComplete: true, binadeEnergy: 0)
    ]
    let limited = try rules.choices(for: spectra, bytesPerNumber: 2).choices[0]
    #expect(limited.numbers == [1, 2] && limited.values == [4, 20])
    rules.budget = .parameters(18)
    #expect(try rules.choices(for: spectra, bytesPerNumber: 2).choices[0].numbers == [2])
  }

  @Test(
    "what states no edit is refused with its option",
    arguments: ["q_proj", "q_proj:", "3-1", "q_proj:0..3", ":x"])
  func malformed(text: String) {
    #expect(throws: SpectrumEditError.self) { try SpectrumEdit.NumberRule(text, option: "--drop") }
    #expect(throws: SpectrumEditError.self) { try SpectrumEdit.FactorRule(.scale, text + "=") }
  }

  @Test("a pattern must parse, and match some module")
  func patterns() throws {
    #expect(throws: SourceError.self) { try choices { $0.keep = try kept(["k_proj:0"]) } }
    #expect(throws: SourceError.self) { try choices { $0.factors = [try .init(.power, "(:1")] } }
  }
}
