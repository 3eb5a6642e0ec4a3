public import Checkpoints
public import WeightSources

/// How a checkpoint's modules are called, shaped and loaded in Transformers and PEFT.
public struct PEFTNaming: Sendable {
  let modelType: String?
  /// The paths of blocks that stack their experts.
  let stackingBlocks: Set<String>
  private let rename: Rename

  private enum Rename: Sendable {
    case none
    case addPrefix(String)
    case dropPrefix(String)
  }

  /// Reads what the model's configuration and tensor names say.
  ///
  /// A checkpoint may have been saved from the bare model or from the model with a head, and be loaded as
  /// the other one; Transformers then adds or drops the base model's prefix, and PEFT sees the result.
  public init(configuration: ModelConfiguration?, tensorNames: [String]) {
    modelType = configuration?.modelType
    stackingBlocks = blocksWithStacks(tensorNames)
    guard let prefix = modelType.flatMap({ baseModelPrefixes[$0] }),
      let architecture = configuration?.architectures.first
    else {
      rename = .none
      return
    }
    let hasPrefix = tensorNames.contains { $0.hasPrefix(prefix + ".") }
    // "BertModel" is the bare model; "GPT2LMHeadModel" is not.
    let isBareModel = architecture.hasSuffix("Model") && !architecture.hasSuffix("LMHeadModel")
    rename = isBareModel == hasPrefix ? (hasPrefix ? .dropPrefix(prefix) : .addPrefix(prefix)) : .none
  }

  /// The module's path as PEFT sees it.
  public func path(of module: String, role: ModuleRole) -> String {
    switch rename {
    case .none: module
    case .addPrefix(let prefix): role == .head ? module : "\(prefix).\(module)"
    case .dropPrefix(let prefix):
      module.hasPrefix(prefix + ".") ? String(module.dropFirst(prefix.count + 1)) : module
    }
  }

  /// The paths of all modules that own one of these tensors, sorted.
  public func modulePaths(of tensors: [String: TensorLocation]) -> [String] {
    Set(
      tensors.values.map {
        path(of: modulePath(ofTensor: $0.name), role: ModuleRole(tensor: $0.name, shape: $0.shape))
      }
    ).sorted()
  }

  /// Which side of the module's stored matrix is its input.
  public func layout(of module: String, role: ModuleRole) -> WeightLayout {
    switch role {
    case .embedding: .inputByOutput
    case .head: .outputByInput
    case _ where isInStack(module): layoutOfStacks
    default: usesConv1D ? .inputByOutput : .outputByInput
    }
  }

  /// Whether linear layers are Transformers' Conv1D, whose weights lie transposed.
  public var usesConv1D: Bool { modelType.map { conv1DModelTypes.contains($0) } ?? false }
}

/// Where a model's own layers sit inside the model with a head, for families published both ways.
private let baseModelPrefixes = [
  "gpt2": "transformer", "bert": "bert", "roberta": "roberta", "xlm-roberta": "roberta",
  "distilbert": "distilbert", "electra": "electra", "mpnet": "mpnet",
]

private let conv1DModelTypes: Set = ["gpt2", "openai-gpt", "imagegpt", "decision_transformer"]

/// PEFT's name for what a model of this architecture is used for; nil where none fits.
public func taskType(ofArchitecture architecture: String?) -> String? {
  guard let architecture else { return nil }
  let endings = [
    ("ForCausalLM", "CAUSAL_LM"), ("LMHeadModel", "CAUSAL_LM"),
    ("ForConditionalGeneration", "SEQ_2_SEQ_LM"), ("ForSequenceClassification", "SEQ_CLS"),
    ("ForTokenClassification", "TOKEN_CLS"), ("ForQuestionAnswering", "QUESTION_ANS"),
    ("Model", "FEATURE_EXTRACTION"),
  ]
  return endings.first { architecture.hasSuffix($0.0) }?.1
}
