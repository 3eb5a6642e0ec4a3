import Foundation
import TestSupport

/// A PEFT adapter on disk with random factors, and the base model's configuration beside it.
struct AdapterFixture {
  let folder: TemporaryFolder
  private(set) var tensors: [FixtureTensor] = []

  var path: String { folder.file("adapter") }
  var basePath: String { folder.file("base") }
  var outputPath: String { folder.file("out") }

  /// One pair of factors to be made.
  struct Pair {
    let path: String
    let rank: Int
    let inputs: Int
    let outputs: Int

    /// The shape of a module's factors.
    init(_ path: String, rank: Int, inputs: Int, outputs: Int) {
      self.path = path
      self.rank = rank
      self.inputs = inputs
      self.outputs = outputs
    }
  }

  /// Writes an adapter.
  ///
  /// - Parameters:
  ///   - pairs: The modules.
  ///   - fields: Members of `adapter_config.json` besides the type.
  ///   - others: Tensors stored beside the factors.
  ///   - base: Members of the base model's `config.json`; nil for no base model.
  ///   - seed: Of the factors.
  /// - Throws: Foundation's error if a file cannot be written.
  init(
    _ pairs: [Pair], fields: String = #""r":2,"lora_alpha":2"#, others: [FixtureTensor] = [],
    base: String? = nil, seed: UInt64 = 1
  ) throws {
    var random = SplitMix64(state: seed)
    let factors = pairs.flatMap { pair -> [FixtureTensor] in
      func tensor(_ ending: String, _ shape: [Int]) -> FixtureTensor {
        let values = (0..<shape[0] * shape[1]).map { _ in random.nextUniform() }
        return FixtureTensor("base_model.model.\(pair.path).\(ending)", shape: shape, values)
      }
      let isEmbedding = pair.path.hasSuffix("embed_tokens")
      return [
        tensor(isEmbedding ? "lora_embedding_A" : "lora_A.weight", [pair.rank, pair.inputs]),
        tensor(isEmbedding ? "lora_embedding_B" : "lora_B.weight", [pair.outputs, pair.rank]),
      ]
    }
    try self.init(tensors: factors + others, fields: fields, base: base)
  }

  /// Writes an adapter of given tensors.
  init(tensors: [FixtureTensor], fields: String, base: String? = nil) throws {
    folder = try TemporaryFolder()
    self.tensors = tensors
    _ = try folder.makeFolder("adapter")
    try folder.write(RawSafetensors.file(tensors), to: "adapter/adapter_model.safetensors")
    try folder.write(Data(#"{"peft_type":"LORA",\#(fields)}"#.utf8), to: "adapter/adapter_config.json")
    if let base {
      _ = try folder.makeFolder("base")
      try folder.write(Data("{\(base)}".utf8), to: "base/config.json")
    }
  }

  /// `unbraid export adapter --for … -o out`, with the base model if there is one.
  func export(for profile: String, _ options: [String] = []) throws -> ProcessResult {
    let hasBase = FileManager.default.fileExists(atPath: basePath)
    return try Workspace.run(
      ["export", path, "--for", profile, "-o", outputPath] + (hasBase ? ["--base", basePath] : []) + options)
  }

  /// An output's configuration.
  func configuration(_ name: String = "out/adapter_config.json") throws -> [String: Any] {
    let data = try Data(contentsOf: URL(filePath: folder.file(name)))
    return try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
  }

  /// A tensor of the adapter by its name after `base_model.model.`.
  subscript(_ name: String) -> FixtureTensor {
    guard let tensor = tensors.first(where: { $0.name == "base_model.model." + name }) else {
      preconditionFailure("no tensor '\(name)' in the fixture")
    }
    return tensor
  }
}

extension FixtureTensor {
  /// scale · self · other of two matrices.
  func times(_ other: FixtureTensor, scale: Double = 1) -> [Double] {
    let (rows, inner, columns) = (shape[0], shape[1], other.shape[1])
    precondition(other.shape[0] == inner, "the shapes do not fit")
    let (left, right) = (values, other.values)
    return (0..<rows * columns).map { index in
      (0..<inner).reduce(0) {
        $0 + left[index / columns * inner + $1] * right[$1 * columns + index % columns]
      }
        * scale
    }
  }

  /// A matrix with rows and columns exchanged.
  var transposed: FixtureTensor {
    let (rows, columns) = (shape[0], shape[1])
    let old = values
    return FixtureTensor(
      name, elementType, shape: [columns, rows],
      (0..<rows * columns).map { old[$0 % rows * columns + $0 / rows] })
  }
}
