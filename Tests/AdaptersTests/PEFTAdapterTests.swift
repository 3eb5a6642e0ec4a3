import Adapters
import Checkpoints
import Foundation
import LinearAlgebra
import TestSupport
import Testing
import WeightSources

/// Adapters as PEFT writes them, read; and what the writer makes of factors, read again.
@Suite struct PEFTAdapterTests {
  private static let query = "model.layers.0.self_attn.q_proj"

  @Test(
    "factors, ranks, alphas and saved tensors come back as they were written", arguments: FactorType.allCases)
  func roundTrip(type: FactorType) throws {
    let folder = try TemporaryFolder()
    let paths = (0..<4).map { "model.layers.\($0).mlp.up_proj" }
    let layout = try AdapterLayout(
      modules: paths.map { AdapterLayout.Module(path: $0, outputCount: 6, inputCount: 5, largestRank: 4) },
      savable: [], factorType: type, writesBias: false)
    var writer = try PEFTAdapterWriter(
      folder: folder.path, layout: layout,
      description: .init(baseModel: "base", taskType: "CAUSAL_LM", targets: .among(paths + ["lm_head"])))
    let alphas = [nil, 3, 0.5, nil]
    for index in [2, 0, 1] {
      let rank = index + 2
      try writer.write(
        a: TestMatrices.noise(rows: rank, columns: 5), b: TestMatrices.noise(rows: 6, columns: rank),
        alpha: alphas[index], module: index)
    }
    try writer.omit(module: 3)
    try writer.finish().encoded().write(to: URL(filePath: folder.file("adapter_config.json")))
    let adapter = try PEFTAdapter.open(folder.path)
    #expect(adapter.modules.map(\.path) == Array(paths.prefix(3)))
    #expect(adapter.modules.map(\.rank) == [2, 3, 4])
    #expect(adapter.modules.map(\.alpha) == [2, 3, 0.5])
    #expect(adapter.modules.map(\.scale) == [1, 1, 0.125])
    #expect(adapter.configuration.rank == 4)
    #expect(adapter.configuration.alpha == 0.5)
    #expect(adapter.configuration.targetModules == Array(paths.prefix(3)))
    let reader = DeltaReader()
    for (index, module) in adapter.modules.enumerated() {
      let factors = try adapter.readFactors(of: module, with: reader)
      let expected = type.elementType.encode(TestMatrices.noise(rows: index + 2, columns: 5))
      #expect(type.elementType.encode(factors.a) == expected)
      #expect(factors.b.shape == (6, index + 2))
    }
  }

  @Test(
    "the configuration has the rank and alpha of experts, which no pattern reaches, not a router's or the largest"
  )
  func expertsOfModules() throws {
    let folder = try TemporaryFolder()
    let paths = ["experts.0.down_proj", "gate", "up_proj"].map { "model.layers.0.mlp." + $0 }
    let layout = try AdapterLayout(
      modules: zip(paths, [2, 1, 4]).map {
        AdapterLayout.Module(path: $0, outputCount: 6, inputCount: 5, largestRank: $1)
      }, savable: [], factorType: .f32, writesBias: false)
    var writer = try PEFTAdapterWriter(
      folder: folder.path, layout: layout, description: .init(baseModel: "base", taskType: "CAUSAL_LM"))
    for (index, (rank, alpha)) in [(2, 6.0), (1, 3.0), (4, 5.0)].enumerated() {
      try writer.write(
        a: TestMatrices.noise(rows: rank, columns: 5), b: TestMatrices.noise(rows: 6, columns: rank),
        alpha: alpha, module: index)
    }
    try writer.finish().encoded().write(to: URL(filePath: folder.file("adapter_config.json")))
    let adapter = try PEFTAdapter.open(folder.path)
    #expect(adapter.configuration.rank == 2 && adapter.configuration.alpha == 6)
    #expect(adapter.modules.map(\.rank) == [2, 2, 4])
    #expect(adapter.modules.map(\.scale) == [3, 1.5, 1.25])
  }

  @Test("the scale is alpha / r, or alpha / √r, by the first pattern that matches")
  func scales() throws {
    let folder = try TemporaryFolder()
    let modules = ["a.q_proj", "b.q_proj", "a.v_proj"]
    try write(modules.flatMap { Self.factors($0, rank: $0 == "b.q_proj" ? 16 : 4) }, to: folder)
    let patterns = #""rank_pattern":{"b.q_proj":16},"alpha_pattern":{"v_proj":2,"q_proj":32,"b.q_proj":1}"#
    for (rsLoRA, expected) in [("false", [8, 0.5, 2]), ("true", [16, 1, 8])] as [(String, [Double])] {
      try configure(folder, #""r":4,"lora_alpha":9,"use_rslora":\#(rsLoRA),\#(patterns)"#)
      let found = try PEFTAdapter.open(folder.path).modules
      #expect(found.map(\.path) == ["a.q_proj", "a.v_proj", "b.q_proj"])
      #expect(found.map(\.scale) == expected)
    }
  }

  @Test("embeddings, saved modules and biases are told from factors")
  func kinds() throws {
    let folder = try TemporaryFolder()
    let prefix = "base_model.model."
    try write(
      Self.factors(Self.query, rank: 2) + [
        .init("\(prefix)\(Self.query).lora_B.bias", shape: [6], [1, 2, 3, 4, 5, 6]),
        .init("\(prefix)model.embed_tokens.lora_embedding_A", shape: [2, 9], Array(repeating: 1, count: 18)),
        .init("\(prefix)model.embed_tokens.lora_embedding_B", shape: [3, 2], Array(repeating: 1, count: 6)),
        .init(
          "\(prefix)model.embed_tokens.base_layer.weight", shape: [9, 3], Array(repeating: 1, count: 27)),
        .init("\(prefix)model.norm.weight", shape: [3], [1, 2, 3]),
      ], to: folder)
    try configure(folder, #""r":2,"lora_alpha":2,"lora_bias":true"#)
    let adapter = try PEFTAdapter.open(folder.path)
    #expect(adapter.modules.map(\.isEmbedding) == [true, false])
    #expect(adapter.modules.map(\.inputCount) == [9, 5])
    #expect(adapter.modules.map(\.outputCount) == [3, 6])
    #expect(adapter.saved.map(\.name) == ["model.embed_tokens.weight", "model.norm.weight"])
    let bias = try adapter.readBias(of: adapter.modules[1], with: DeltaReader())
    #expect(bias?.elements == [1, 2, 3, 4, 5, 6])
  }

  @Test(
    "other kinds of adapter are refused by name",
    arguments: [
      (#""use_dora":true"#, "use_dora makes this a DoRA adapter"),
      (#""peft_type":"IA3""#, "peft_type is 'IA3'"),
      (#""trainable_token_indices":[5]"#, "trainable_token_indices makes this"),
      (#""r":0"#, "'r' is no rank"), (#""r":3"#, "have rank 2, and adapter_config.json says 3"),
      (#""r":2,"rank_pattern":{"q(":3}"#, "the key 'q(' of rank_pattern is no regular expression"),
      (#""use_rslora":1"#, "'use_rslora' is neither true nor false"),
    ])
  func otherKinds(fields: String, problem: String) throws {
    let folder = try TemporaryFolder()
    try write(Self.factors(Self.query, rank: 2), to: folder)
    try configure(folder, fields)
    let error = try #require(throws: PEFTAdapterError.self) { try PEFTAdapter.open(folder.path) }
    #expect(error.description.contains(problem), "\(error)")
  }

  @Test("damaged adapters are refused with the tensor and what is wrong with it")
  func damage() throws {
    let whole = Self.factors(Self.query, rank: 2)
    let other = "base_model.model.\(Self.query).lora_A.default.weight"
    let cases: [([FixtureTensor], String)] = [
      ([whole[0]], "'\(whole[0].name)' is there without '\(whole[1].name)'"),
      ([whole[1]], "'\(whole[1].name)' is there without '\(whole[0].name)'"),
      (whole + [.init(other, shape: [1], [0])], "'\(other)' is none of a LoRA adapter"),
      (whole + [.init("q_proj.weight", shape: [1], [0])], "'q_proj.weight' is none of a LoRA adapter"),
      (
        [whole[0], .init(whole[1].name, shape: [2, 3], [1, 2, 3, 4, 5, 6])],
        "has shape [2, 3], which does not go"
      ),
      ([], "holds no factors"),
    ]
    for (tensors, problem) in cases {
      let folder = try TemporaryFolder()
      try write(tensors, to: folder)
      try configure(folder, #""r":2"#)
      let error = try #require(throws: PEFTAdapterError.self) { try PEFTAdapter.open(folder.path) }
      #expect(error.description.contains(problem), "\(error)")
    }
  }

  @Test("a NaN in a factor is refused with its place")
  func notFinite() throws {
    let folder = try TemporaryFolder()
    var tensors = Self.factors(Self.query, rank: 2)
    tensors[0] = FixtureTensor(
      tensors[0].name, shape: [2, 5], (0..<10).map { $0 == 7 ? .nan : Double($0) })
    try write(tensors, to: folder)
    try configure(folder, #""r":2"#)
    let adapter = try PEFTAdapter.open(folder.path)
    let error = try #require(throws: PEFTAdapterError.self) {
      _ = try adapter.readFactors(of: adapter.modules[0], with: DeltaReader())
    }
    #expect(error.description.contains("'\(tensors[0].name)' is no finite number at [1, 2]"))
  }

  /// A of 5 inputs and B of 6 outputs.
  private static func factors(_ module: String, rank: Int) -> [FixtureTensor] {
    let prefix = "base_model.model.\(module)."
    return [
      FixtureTensor("\(prefix)lora_A.weight", shape: [rank, 5], (0..<rank * 5).map { Double($0) }),
      FixtureTensor("\(prefix)lora_B.weight", shape: [6, rank], (0..<rank * 6).map { Double($0) }),
    ]
  }

  private func write(_ tensors: [FixtureTensor], to folder: TemporaryFolder) throws {
    try folder.write(RawSafetensors.file(tensors), to: "adapter_model.safetensors")
  }

  private func configure(_ folder: TemporaryFolder, _ fields: String) throws {
    let kind = fields.contains("peft_type") ? "" : #""peft_type":"LORA","#
    try folder.write(Array("{\(kind)\(fields)}".utf8), to: "adapter_config.json")
  }
}
