public import Checkpoints

/// Why two checkpoints cannot be compared or a tensor not be used.
public enum SourceError: Error, CustomStringConvertible, Equatable, Sendable {
  /// The checkpoints share no tensor name.
  case nothingInCommon(base: String, baseExample: String, tuned: String, tunedExample: String)
  /// A tensor is stored in different types on the two sides.
  case elementTypesDiffer(tensor: String, base: ElementType, tuned: ElementType)
  /// A checkpoint holds scale tensors.
  case quantized(checkpoint: String, tensor: String)
  /// A selected matrix has a type that is no number.
  case notNumeric(tensor: String, elementType: ElementType)
  /// A selected matrix changed its shape.
  case shapesDiffer(tensor: String, base: [Int], tuned: [Int], isVocabulary: Bool)
  /// An entry is a NaN or an infinity.
  case notFinite(file: String, tensor: String, index: [Int], value: String)
  /// Another rank of those that share a module could not read its part.
  case unreadableShare(module: String)
  /// A regular expression selects nothing.
  case patternMatchesNothing(option: String, pattern: String, candidateCount: Int, example: String)
  /// A regular expression does not parse.
  case malformedPattern(option: String, pattern: String, reason: String)
  /// The filters leave no module.
  case nothingSelected(candidateCount: Int)
  /// A head was asked for that the model does not have.
  case noHead(checkpoint: String)
  /// The head was asked for, which one of two models ties to its embedding.
  case headInOne(tensor: String, checkpoint: String)
  /// Embeddings were asked for that the model does not have.
  case noEmbeddings(checkpoint: String)

  /// Whether the command line is to blame rather than the data.
  public var isUsage: Bool {
    switch self {
    case .patternMatchesNothing, .malformedPattern, .nothingSelected, .noHead, .headInOne, .noEmbeddings: true
    default: false
    }
  }

  /// One sentence with the place, what was found and the remedy.
  public var description: String {
    switch self {
    case .nothingInCommon(let base, let baseExample, let tuned, let tunedExample):
      "\(tuned): no tensor in common with \(base) (such as '\(tunedExample)' beside '\(baseExample)'); "
        + "give a fine-tune of this base model"
    case .elementTypesDiffer(let tensor, let base, let tuned):
      "tensor '\(tensor)' is \(base.rawValue) in the base model and \(tuned.rawValue) in the fine-tuned one, so "
        + "their difference holds rounding besides training; pass --mixed-dtypes to take it all the same"
    case .quantized(let checkpoint, let tensor):
      "\(checkpoint): tensor '\(tensor)' belongs to quantised weights, whose stored numbers cannot be "
        + "subtracted; give the unquantised checkpoint, or dequantise it first"
    case .notNumeric(let tensor, let elementType):
      "tensor '\(tensor)' is stored as \(elementType.rawValue), which is no floating-point weight "
        + "(F64, F32, F16, BF16, F8_E4M3 and F8_E5M2 are read); leave it out with --exclude"
    case .shapesDiffer(let tensor, let base, let tuned, let isVocabulary):
      "tensor '\(tensor)' is \(base) in the base model and \(tuned) in the fine-tuned one; "
        + (isVocabulary
          ? "resize the base model's vocabulary first, or leave out --embeddings and --head"
          : "leave it out with --exclude, or give the base model that was fine-tuned")
    case .notFinite(let file, let tensor, let index, let value):
      "\(file): tensor '\(tensor)' is \(value) at \(index); a checkpoint with such weights cannot be decomposed"
    case .unreadableShare(let module):
      "module '\(module)' could not be read by one of the ranks that share it; 'unbraid plan' says where it is damaged"
    case .patternMatchesNothing(let option, let pattern, let count, let example):
      "\(option) '\(pattern)' matches none of the \(count) modules (such as '\(example)')"
    case .malformedPattern(let option, let pattern, let reason):
      "\(option) '\(pattern)' is no regular expression: \(reason)"
    case .nothingSelected(let count):
      "--targets, --include and --exclude together leave none of the \(count) modules"
    case .noHead(let checkpoint):
      "\(checkpoint): --head was given, but there is no output head among the tensors"
    case .headInOne(let tensor, let checkpoint):
      "\(checkpoint): --head was given, but only this model stores '\(tensor)' and the other one has the embedding for its "
        + "head; leave out --head, or give the other one a head of its own"
    case .noEmbeddings(let checkpoint):
      "\(checkpoint): --embeddings was given, but there is no embedding among the tensors"
    }
  }
}
