internal import Checkpoints
internal import Foundation

/// What an `adapter_config.json` says, as far as the meaning of the adapter's tensors depends on it.
///
/// Only LoRA is read: what other kinds of adapter add to a model is no sum of B·A, and is refused by name.
public struct StoredPEFTConfiguration: Sendable {
  /// Where it is.
  public let path: String
  /// The base model by the name that the adapter knows it by.
  public let baseModelNameOrPath: String?
  /// PEFT's name for the model's use.
  public let taskType: String?
  /// The rank of modules without a pattern.
  public let rank: Int
  /// The alpha of modules without a pattern.
  public let alpha: Double
  /// Whether the scale is alpha / √rank instead of alpha / rank.
  public let usesRankStabilizedScale: Bool
  /// Ranks by pattern, in the file's order: the first that matches counts.
  public let rankPattern: [(key: String, value: Int)]
  /// Alphas by pattern, likewise.
  public let alphaPattern: [(key: String, value: Double)]
  /// Names of the modules to adapt; nil if they are given by a regular expression or by layers.
  public let targetModules: [String]?
  /// Names of modules that are not adapted though a target fits; nil if given by a regular expression.
  public let excludeModules: [String]?
  /// Ends of names of the modules that are stored whole.
  public let modulesToSave: [String]
  /// Which biases are stored whole: none, all or lora_only.
  public let bias: String
  /// Whether the adapted layers store their weights transposed.
  public let fanInFanOut: Bool
  /// Ends of names of the adapted parameters that are no layer's weight, such as fused experts.
  public let targetParameters: [String]
  /// The version of PEFT that wrote the adapter; nil if it does not say.
  public let version: String?
  /// Whether what is trained of the input embedding is also the head's, where they are tied.
  public let ensuresWeightTying: Bool

  /// Reads the configuration of an adapter's folder.
  ///
  /// - Throws: `PEFTAdapterError` if there is none, if a field is not what PEFT would accept, or if the adapter is of
  ///   another kind.
  public init(folder: String) throws {
    let path = folder + "/adapter_config.json"
    guard let data = FileManager.default.contents(atPath: path) else {
      throw PEFTAdapterError.missingFile(path: folder, file: "adapter_config.json", hasPickled: false)
    }
    let fields = try ConfigurationFields([UInt8](data), path: path)
    try refuseOtherKinds(fields)
    self.path = path
    baseModelNameOrPath = try fields.text("base_model_name_or_path")
    taskType = try fields.text("task_type")
    rank = try fields.rank("r") ?? 8
    alpha = try fields.number("lora_alpha") ?? 8
    usesRankStabilizedScale = try fields.flag("use_rslora")
    rankPattern = try fields.members("rank_pattern").map { key, value in
      (key, try fields.rank(value, "rank_pattern['\(key)']"))
    }
    alphaPattern = try fields.members("alpha_pattern").map { key, value in
      (key, try fields.number(value, "alpha_pattern['\(key)']"))
    }
    let targets = try fields.names("target_modules")
    targetModules = fields.isSet("layers_to_transform") ? nil : targets
    excludeModules = fields.isSet("exclude_modules") ? try fields.names("exclude_modules") : []
    modulesToSave = try fields.names("modules_to_save") ?? []
    bias = try fields.text("bias") ?? "none"
    fanInFanOut = try fields.flag("fan_in_fan_out")
    targetParameters = try fields.names("target_parameters") ?? []
    version = try fields.text("peft_version")
    ensuresWeightTying = try fields.flag("ensure_weight_tying")
  }
}

extension StoredPEFTConfiguration {
  /// The rank and alpha of modules by path, patterns parsed once.
  func resolver() throws -> ScaleResolver { try ScaleResolver(self) }
}

/// Ranks, alphas and scales by module path, as PEFT resolves them.
struct ScaleResolver {
  private let configuration: StoredPEFTConfiguration
  private let rankPatterns: [(pattern: ModulePattern, rank: Int)]
  private let alphaPatterns: [(pattern: ModulePattern, alpha: Double)]

  init(_ configuration: StoredPEFTConfiguration) throws {
    self.configuration = configuration
    func parse(_ key: String, _ field: String) throws -> ModulePattern {
      do { return try ModulePattern(key) } catch {
        throw PEFTAdapterError.malformedConfiguration(
          path: configuration.path,
          problem: "the key '\(key)' of \(field) is no regular expression; correct it")
      }
    }
    rankPatterns = try configuration.rankPattern.map { (try parse($0.key, "rank_pattern"), $0.value) }
    alphaPatterns = try configuration.alphaPattern.map { (try parse($0.key, "alpha_pattern"), $0.value) }
  }

  func rank(of path: String) -> Int {
    rankPatterns.first { $0.pattern.matches(path) }?.rank ?? configuration.rank
  }

  func alpha(of path: String) -> Double {
    alphaPatterns.first { $0.pattern.matches(path) }?.alpha ?? configuration.alpha
  }

  /// What B·A is multiplied by.
  func scale(of path: String) -> Double {
    let rank = Double(rank(of: path))
    return alpha(of: path) / (configuration.usesRankStabilizedScale ? rank.squareRoot() : rank)
  }
}

extension StoredPEFTConfiguration {
  /// Whether today's PEFT would have both factors of a fused expert the other way round.
  ///
  /// Shapes tell it of all experts but those whose matrices are square.
  func turnsExperts(ofModelType modelType: String?) -> Bool {
    guard let version = version.flatMap(versionNumbers), version.lexicographicallyPrecedes([0, 19, 1]) else {
      return false
    }
    // Before 0.19.0 all classes were taken for experts × in × out, by 0.19.0 all but those that are.
    let isTransposed = modelType.map(transposedClasses.contains) ?? false
    return !isTransposed || !version.lexicographicallyPrecedes([0, 19])
  }
}

private func versionNumbers(_ text: String) -> [Int]? {
  let numbers = text.split(separator: ".").prefix { Int($0) != nil }.compactMap { Int($0) }
  return numbers.isEmpty ? nil : numbers
}

private func refuseOtherKinds(_ fields: ConfigurationFields) throws {
  let kind = try fields.text("peft_type") ?? ""
  guard kind == "LORA" else {
    throw PEFTAdapterError.unsupported(
      path: fields.path, what: "peft_type is '\(kind)', and only LORA is read",
      remedy: "convert it with PEFT's convert_to_lora first")
  }
  for (field, name) in otherKinds where fields.isSet(field) {
    throw PEFTAdapterError.unsupported(
      path: fields.path, what: "\(field) makes this \(name), whose change of the weights is no scale · B·A",
      remedy: "merge it with PEFT's merge_and_unload, and extract an adapter from the result")
  }
}

/// Fields that change what an adapter does to its model, and what it is then.
private let otherKinds = [
  ("use_dora", "a DoRA adapter"), ("use_qalora", "a QALoRA adapter"), ("use_bdlora", "a BD-LoRA adapter"),
  ("kasa_config", "a KaSA adapter"), ("monteclora_config", "a MonteCLoRA adapter"),
  ("alora_invocation_tokens", "an activated LoRA adapter"), ("arrow_config", "an Arrow router"),
  ("layer_replication", "an adapter of a model with repeated layers"),
  ("trainable_token_indices", "an adapter with rows of new tokens"),
]
