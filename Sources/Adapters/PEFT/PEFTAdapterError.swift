public import Checkpoints

/// Why a folder cannot be read as a LoRA adapter of PEFT.
public enum PEFTAdapterError: Error, CustomStringConvertible, Equatable, Sendable {
  /// The folder lacks one of the two files.
  case missingFile(path: String, file: String, hasPickled: Bool)
  /// The configuration breaks a rule.
  case malformedConfiguration(path: String, problem: String)
  /// The adapter is of a kind that is no sum of B·A.
  case unsupported(path: String, what: String, remedy: String)
  /// A tensor has a name that no LoRA adapter has.
  case unknownTensor(path: String, tensor: String)
  /// One factor without the other.
  case missingHalf(path: String, tensor: String, missing: String)
  /// A factor has a shape that does not go with the rest.
  case wrongShape(path: String, tensor: String, found: [Int], problem: String)
  /// The factors have another rank than the configuration says.
  case otherRank(path: String, module: String, inFile: Int, inConfiguration: Int)
  /// The factors of all experts have a rank that is no multiple of one expert's.
  case noMultiple(path: String, parameter: String, inFile: Int, inConfiguration: Int)
  /// Some parameters of a module have factors, and others that are adapted have none.
  case missingWrapper(path: String, parameters: [String], wrapper: String)
  /// Factors of a parameter that the configuration does not name.
  case noParameter(path: String, wrapper: String)
  /// A factor's elements are no floating-point numbers.
  case notNumeric(path: String, tensor: String, elementType: ElementType)
  /// A factor holds a NaN or an infinity.
  case notFinite(path: String, tensor: String, row: Int, column: Int)
  /// The file holds no factors and no saved tensors.
  case empty(path: String)

  /// One sentence with the place, what was found and the remedy.
  public var description: String {
    switch self {
    case .missingFile(let path, let file, let hasPickled):
      hasPickled
        ? "\(path): holds 'adapter_model.bin' but no \(file); load it with PEFT and save it again with "
          + "save_pretrained(folder, safe_serialization=True)"
        : "\(path): holds no \(file); give the folder of a PEFT adapter"
    case .malformedConfiguration(let path, let problem): "\(path): \(problem)"
    case .unsupported(let path, let what, let remedy): "\(path): \(what); \(remedy)"
    case .unknownTensor(let path, let tensor):
      "\(path): tensor '\(tensor)' is none of a LoRA adapter, whose names begin with 'base_model.model.' and end in "
        + "lora_A.weight, lora_B.weight, lora_B.bias, lora_embedding_A, lora_embedding_B or a parameter of the model; "
        + "save the adapter with a current PEFT"
    case .missingHalf(let path, let tensor, let missing):
      "\(path): tensor '\(tensor)' is there without '\(missing)'; the file is not whole, get it again"
    case .wrongShape(let path, let tensor, let found, let problem):
      "\(path): tensor '\(tensor)' has shape \(found), \(problem)"
    case .otherRank(let path, let module, let inFile, let inConfiguration):
      "\(path): the factors of module '\(module)' have rank \(inFile), and adapter_config.json says "
        + "\(inConfiguration) (r, rank_pattern); give the configuration that belongs to this file"
    case .noMultiple(let path, let parameter, let inFile, let inConfiguration):
      "\(path): the factors of '\(parameter)' have rank \(inFile) for all experts together, no multiple of the "
        + "\(inConfiguration) that adapter_config.json says each has (r, rank_pattern); give the configuration that belongs "
        + "to this file"
    case .missingWrapper(let path, let parameters, let wrapper):
      "\(path): target_parameters takes in \(parameters.map { "'\($0)'" }.joined(separator: " and ")), and the "
        + "adapter has no factors '\(wrapper)' for one of them; it is not whole, get it again"
    case .noParameter(let path, let wrapper):
      "\(path): target_parameters names no parameter that the factors '\(wrapper)' could be of; give the configuration "
        + "that belongs to this adapter"
    case .notNumeric(let path, let tensor, let elementType):
      "\(path): tensor '\(tensor)' is stored as \(elementType.rawValue), which is no floating-point number"
    case .notFinite(let path, let tensor, let row, let column):
      "\(path): tensor '\(tensor)' is no finite number at [\(row), \(column)]; such an adapter cannot be used"
    case .empty(let path): "\(path): holds no factors; give the folder of a trained adapter"
    }
  }
}
