/// What a tensor is to the model it belongs to, told from its name and shape alone.
///
/// No model class is needed, so an architecture that appeared yesterday works as well as Llama.
public enum ModuleRole: String, Sendable, Codable, CaseIterable {
  /// The matrix of a linear layer.
  case linear
  /// An embedding table, vocabulary × dimension.
  case embedding
  /// The matrix that turns hidden states into logits or scores.
  case head
  /// A one-dimensional weight: the scale of a normalisation.
  case norm
  /// A one-dimensional bias.
  case bias
  /// The matrices of all experts of a layer in one tensor of three dimensions.
  case experts
  /// Anything else: convolutions, buffers.
  case other

  /// The role of a tensor of this name and shape.
  public init(tensor name: String, shape: [Int]) {
    let path = name.split(separator: ".").map(String.init)
    guard let parameter = path.last, path.count >= 2 else {
      self = .other
      return
    }
    let module = path[path.count - 2]
    switch (parameter, shape.count) {
    case ("weight", 2) where headNames.contains(module) || path.dropLast() == ["output"]: self = .head
    case ("weight", 2) where isEmbeddingName(module): self = .embedding
    case ("weight", 2): self = .linear
    case ("weight", 1): self = .norm
    case ("bias", 1): self = .bias
    // A stack of rows is one of vectors.
    case (_, 3) where isOfExperts(path.dropLast()) && !shape.dropFirst().contains(1): self = .experts
    default: self = .other
    }
  }

  /// Whether a low-rank adapter can stand for the tensor's difference.
  public var isMatrix: Bool { self == .linear || self == .embedding || self == .head }
}

/// `score` and `classifier` are the heads of sequence classifiers; they are trained anew, so they too are only
/// decomposed when asked.
private let headNames: Set = [
  "lm_head", "embed_out", "score", "classifier", "generator_lm_head", "qa_outputs",
]

private func isEmbeddingName(_ module: String) -> Bool {
  module.contains("embed") || ["wte", "wpe", "shared", "relative_attention_bias"].contains(module)
}

/// Whether a module of this path holds the weights of experts; those of Granite are two linear layers of the block.
private func isOfExperts(_ path: ArraySlice<String>) -> Bool {
  path.contains("experts")
    || ["input_linear", "output_linear"].contains(path.last)
      && path.dropLast().contains { $0.contains("moe") }
}

/// The path of the module that owns a tensor: its name without the last component.
public func modulePath(ofTensor name: String) -> String {
  name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
}
