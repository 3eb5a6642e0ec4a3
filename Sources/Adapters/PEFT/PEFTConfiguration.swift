public import Foundation

/// What `adapter_config.json` says; every field that a loader would otherwise have to guess.
public struct PEFTConfiguration: Sendable, Encodable {
  let baseModelNameOrPath: String
  let taskType: String?
  let rank: Int
  let alpha: Double
  let rankPattern: [String: Int]
  let alphaPattern: [String: Double]
  let targetModules: [String]
  let targetParameters: [String]
  let excludeModules: [String]?
  let modulesToSave: [String]?
  let hasLoRABias: Bool
  let bias: String
  let ensuresWeightTying: Bool
  let version: String?
  let fanInFanOut: Bool

  /// Describes an adapter whose modules have these ranks, at least one of them positive.
  ///
  /// If no alphas are given, alpha equals the rank everywhere, so that the scale is 1 with every loader and square
  /// roots of ranks never enter. Modules of another rank or alpha than the configuration's get a pattern that matches
  /// their path and nothing else.
  ///
  /// - Parameters:
  ///   - baseModel: What the loader may fetch the base model by.
  ///   - taskType: PEFT's name for the model's use, if it has one.
  ///   - rank: That of all without a pattern; nil for the largest.
  ///   - alpha: That of all without a pattern; nil for the largest rank's.
  ///   - ranks: Rank by full path, for the adapted modules and parameters.
  ///   - alphas: Alpha by full path, for the same; nil for the ranks.
  ///   - targets: How PEFT finds these modules and no others.
  ///   - targetParameters: Those of the paths that are parameters, such as fused experts.
  ///   - modulesToSave: Full paths of modules stored whole beside the factors.
  ///   - hasLoRABias: Whether B of every module has a bias.
  ///   - bias: Which biases are stored whole: none, all or lora_only.
  ///   - fanInFanOut: Whether the adapted layers store their weights transposed.
  ///   - ensuresWeightTying: Whether what is trained of the input embedding is also the head's.
  ///   - version: The version of PEFT whose order the factors of fused experts have; nil for today's.
  public init(
    baseModel: String, taskType: String?, rank: Int? = nil, alpha: Double? = nil, ranks: [String: Int],
    alphas: [String: Double]? = nil, targets: TargetModules, targetParameters: [String] = [],
    modulesToSave: [String] = [],
    hasLoRABias: Bool = false, bias: String = "none",
    fanInFanOut: Bool = false, ensuresWeightTying: Bool = false, version: String? = nil
  ) {
    let rank = rank ?? ranks.values.max() ?? 1
    let alphas = alphas ?? ranks.mapValues(Double.init)
    let alpha =
      alpha ?? ranks.filter { $0.value == rank }.keys.compactMap { alphas[$0] }.max() ?? Double(rank)
    baseModelNameOrPath = baseModel
    self.taskType = taskType
    self.rank = rank
    self.alpha = alpha
    rankPattern = Dictionary(
      uniqueKeysWithValues: ranks.filter { $0.value != rank }.map { (anchoredPattern($0.key), $0.value) })
    alphaPattern = Dictionary(
      uniqueKeysWithValues: alphas.filter { $0.value != alpha }.map { (anchoredPattern($0.key), $0.value) })
    targetModules = targets.targets
    self.targetParameters = targetParameters
    excludeModules = targets.exclusions.isEmpty ? nil : targets.exclusions
    self.modulesToSave = modulesToSave.isEmpty ? nil : modulesToSave.sorted()
    self.hasLoRABias = hasLoRABias
    self.bias = bias
    self.ensuresWeightTying = ensuresWeightTying
    self.version = version
    self.fanInFanOut = fanInFanOut
  }

  /// The file's bytes: keys sorted, so that equal adapters are equal files.
  public func encoded() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self) + Data("\n".utf8)
  }

  /// Writes the fields under PEFT's names.
  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Key.self)
    try fields.encode("LORA", forKey: "peft_type")
    try fields.encode(taskType, forKey: "task_type")
    try fields.encode(baseModelNameOrPath, forKey: "base_model_name_or_path")
    try fields.encode(rank, forKey: "r")
    try fields.encode(alpha, forKey: "lora_alpha")
    try fields.encode(rankPattern, forKey: "rank_pattern")
    try fields.encode(alphaPattern, forKey: "alpha_pattern")
    try fields.encode(targetModules, forKey: "target_modules")
    if !targetParameters.isEmpty { try fields.encode(targetParameters, forKey: "target_parameters") }
    try fields.encode(excludeModules, forKey: "exclude_modules")
    try fields.encode(modulesToSave, forKey: "modules_to_save")
    try fields.encode(hasLoRABias, forKey: "lora_bias")
    try fields.encode(fanInFanOut, forKey: "fan_in_fan_out")
    try fields.encode(bias, forKey: "bias")
    // Older versions of PEFT warn of a field they do not know.
    if ensuresWeightTying { try fields.encode(true, forKey: "ensure_weight_tying") }
    if let version { try fields.encode(version, forKey: "peft_version") }
    try fields.encode(0.0, forKey: "lora_dropout")
    // True makes PEFT expect trained weights from the file and nothing computed from the base model.
    try fields.encode(true, forKey: "init_lora_weights")
    try fields.encode(true, forKey: "inference_mode")
    try fields.encode(false, forKey: "use_rslora")
    try fields.encode(false, forKey: "use_dora")
  }

  private struct Key: CodingKey, ExpressibleByStringLiteral {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringLiteral value: String) { stringValue = value }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}

/// A regular expression for one path alone: PEFT would let a bare one match any path with this tail, and its
/// dots any character.
func anchoredPattern(_ path: String) -> String {
  let special: Set<Character> = [
    ".", "^", "$", "*", "+", "?", "(", ")", "[", "]", "{", "}", "\\", "|",
  ]
  return "^" + path.map { special.contains($0) ? "\\\($0)" : String($0) }.joined() + "$"
}
