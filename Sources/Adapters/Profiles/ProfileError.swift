/// Why an adapter cannot be written for a consumer.
public enum ProfileError: Error, CustomStringConvertible, Equatable, Sendable {
  /// Nobody said which model the adapter is for, and its configuration names none that is here.
  case noModel(adapter: String, named: String?)
  /// llama.cpp knows the family under a name that is not in the table, or not at all.
  case unknownFamily(modelType: String?, known: [String])
  /// A module's outputs are no whole number of heads.
  case heads(module: String, outputCount: Int, headCount: Int?)
  /// vLLM has no place for such a rank.
  case rankTooLarge(rank: Int, largest: Int)
  /// Not one of the adapter's modules has a place.
  case nothingLeft(adapter: String, profile: String, example: String, reason: String)

  /// Whether the command line is to blame rather than the data.
  public var isUsage: Bool {
    switch self {
    case .noModel, .rankTooLarge: true
    default: false
    }
  }

  /// One sentence with the place, what was found and the remedy.
  public var description: String {
    switch self {
    case .noModel(let adapter, let named):
      "\(adapter): the layout depends on the base model, and "
        + (named.map { "there is no config.json in '\($0)'" }
          ?? "the adapter names none") + "; give its folder with --base"
    case .unknownFamily(let modelType, let known):
      "the base model's type is '\(modelType ?? "unknown")', and what llama.cpp does to weights is known for "
        + known.joined(separator: ", ") + "; use llama.cpp's convert_lora_to_gguf.py on a --for vllm adapter"
    case .heads(let module, let outputs, let heads):
      "module '\(module)': its \(outputs) outputs are not twice \(heads.map(String.init) ?? "an unknown number of") "
        + "heads times a whole number; give the folder of the adapter's own base model with --base"
    case .rankTooLarge(let rank, let largest):
      "the largest rank is \(rank), and vLLM takes \(largest) at most; reduce it with 'unbraid resize'"
    case .nothingLeft(let adapter, let profile, let example, let reason):
      "\(adapter): none of its modules has a place in \(profile): '\(example)': \(reason)"
    }
  }
}
