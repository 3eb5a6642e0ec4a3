package import Foundation

/// What `config.json` says about a model, as far as it matters for its weights.
public struct ModelConfiguration: Sendable, Codable, Equatable {
  /// Class names such as `LlamaForCausalLM`; the first counts.
  public var architectures: [String]
  /// The family, such as `llama`.
  public var modelType: String?
  /// Whether the head shares the input embedding's weights; nil if the configuration is silent.
  public var tiesWordEmbeddings: Bool?
  /// The method of quantised weights.
  public var quantizationMethod: String?
  /// The length of the residual stream.
  public var hiddenSize: Int?

  /// A configuration of given values.
  public init(
    architectures: [String] = [], modelType: String? = nil, tiesWordEmbeddings: Bool? = nil,
    quantizationMethod: String? = nil, hiddenSize: Int? = nil
  ) {
    self.architectures = architectures
    self.modelType = modelType
    self.tiesWordEmbeddings = tiesWordEmbeddings
    self.quantizationMethod = quantizationMethod
    self.hiddenSize = hiddenSize
  }

  /// Reads the `config.json` of a model's folder, or beside a model's file; nil if there is none.
  /// - Throws: `CheckpointError.malformedHeader` if there is one that is no JSON object.
  public static func read(modelPath: String) throws -> ModelConfiguration? {
    let path = path(modelPath: modelPath)
    guard let data = FileManager.default.contents(atPath: path) else { return nil }
    guard let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any] else {
      throw CheckpointError.malformedHeader(path: path, problem: "is no JSON object")
    }
    let quantization = object["quantization_config"] as? [String: Any]
    // Of a multimodal model the language model's word counts.
    let text = object["text_config"] as? [String: Any]
    return ModelConfiguration(
      architectures: object["architectures"] as? [String] ?? [],
      modelType: object["model_type"] as? String,
      tiesWordEmbeddings: text?[tiedKey] as? Bool ?? object[tiedKey] as? Bool,
      quantizationMethod: quantization?["quant_method"] as? String,
      hiddenSize: ["hidden_size", "n_embd", "d_model"].lazy.compactMap { (text?[$0] ?? object[$0]) as? Int }
        .first)
  }

  /// The text of a model's configuration, changed to say that the head has weights of its own; nil if it has none.
  ///
  /// Every other letter stays: programs read fields that nobody here knows. Where the configuration is silent, or the part
  /// of it that tells of the language model, it is made to say so: silence means a tied head to Transformers.
  package static func untied(modelPath: String) throws -> Data? {
    guard let data = FileManager.default.contents(atPath: path(modelPath: modelPath)) else { return nil }
    var text = String(decoding: data, as: UTF8.self)
      .replacing(/"tie_word_embeddings"\s*:\s*(?:true|null)/, with: "\"\(tiedKey)\": false")
    let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
    if let part = object?["text_config"] as? [String: Any], part[tiedKey] == nil,
      let start = text.firstMatch(of: /"text_config"\s*:\s*\{/)
    {
      text.insert(contentsOf: untyingMember(before: part), at: start.range.upperBound)
    }
    if let object, object[tiedKey] == nil, let start = text.firstIndex(of: "{") {
      text.insert(contentsOf: untyingMember(before: object), at: text.index(after: start))
    }
    return Data(text.utf8)
  }

  /// Where the configuration of a model's folder or file is, if it has one.
  static func path(modelPath: String) -> String {
    (modelPath.hasSuffix(".safetensors") ? parentFolder(of: modelPath) : modelPath) + "/config.json"
  }
}

/// What configurations call the sharing of weights by head and embedding.
private let tiedKey = "tie_word_embeddings"

/// The first member of an object whose others are these.
private func untyingMember(before others: [String: Any]) -> String {
  "\"\(tiedKey)\": false" + (others.isEmpty ? "" : ", ")
}
