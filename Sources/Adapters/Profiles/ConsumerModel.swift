internal import Checkpoints
internal import Foundation

/// What consumers' layouts depend on in a base model: facts of its `config.json`.
public struct ConsumerModel: Sendable, Equatable {
  /// The family, such as `llama`; of a multimodal model the language model's.
  var modelType: String?
  /// Heads of queries.
  var headCount: Int?
  /// Heads of keys and values.
  var keyValueHeadCount: Int?
  /// Transformer blocks.
  var layerCount: Int?
  /// The length of the residual stream.
  var hiddenSize: Int?
  /// Experts of a layer that has them.
  var expertCount: Int?
  /// Whether the head is the embedding's matrix.
  var tiesWordEmbeddings: Bool

  init(
    modelType: String? = nil, headCount: Int? = nil, keyValueHeadCount: Int? = nil, layerCount: Int? = nil,
    hiddenSize: Int? = nil, expertCount: Int? = nil, tiesWordEmbeddings: Bool = false
  ) {
    self.modelType = modelType
    self.headCount = headCount
    self.keyValueHeadCount = keyValueHeadCount
    self.layerCount = layerCount
    self.hiddenSize = hiddenSize
    self.expertCount = expertCount
    self.tiesWordEmbeddings = tiesWordEmbeddings
  }

  /// Reads the configuration of a model's folder; nil if there is none.
  ///
  /// - Throws: `CheckpointError.malformedHeader` if there is one that is no JSON object.
  public static func read(modelPath: String) throws -> ConsumerModel? {
    let folder = modelPath.hasSuffix(".safetensors") ? parentFolder(of: modelPath) : modelPath
    let path = folder + "/config.json"
    guard let data = FileManager.default.contents(atPath: path) else { return nil }
    guard let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any] else {
      throw CheckpointError.malformedHeader(path: path, problem: "is no JSON object")
    }
    let text = object["text_config"] as? [String: Any] ?? object
    func number(_ names: String...) -> Int? { names.lazy.compactMap { text[$0] as? Int }.first }
    return ConsumerModel(
      modelType: text["model_type"] as? String ?? object["model_type"] as? String,
      headCount: number("num_attention_heads", "n_head"), keyValueHeadCount: number("num_key_value_heads"),
      layerCount: number("num_hidden_layers", "n_layer"), hiddenSize: number("hidden_size", "n_embd"),
      expertCount: number("num_local_experts", "num_experts"),
      // Where the configuration is silent, Transformers ties only in these families.
      tiesWordEmbeddings: (text["tie_word_embeddings"] ?? object["tie_word_embeddings"]) as? Bool
        ?? tiedUnlessSaid.contains(text["model_type"] as? String ?? ""))
  }
}

private let tiedUnlessSaid: Set = ["gemma", "gemma2", "gemma3", "gemma3_text", "gpt2", "starcoder2"]
