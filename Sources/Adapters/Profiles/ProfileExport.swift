internal import Checkpoints
internal import Foundation

/// Writes an adapter the way a consumer loads it, and says what the consumer does not get.
public struct ProfileExport {
  private let source: any UpdateSource
  private let profile: ConsumerProfile
  private let model: ConsumerModel?
  private let factorType: FactorType?

  /// Prepares an export.
  ///
  /// - Parameters:
  ///   - source: The adapter.
  ///   - profile: Who is going to load it.
  ///   - model: Facts of the base model, if its configuration is there.
  ///   - factorType: The type of the written factors; nil for the consumer's usual one.
  public init(
    _ source: any UpdateSource, for profile: ConsumerProfile, model: ConsumerModel?, factorType: FactorType?
  ) {
    self.source = TodaysExperts(source, model: model)
    self.profile = profile
    self.model = model
    self.factorType = factorType
  }

  /// Refuses what no adapter of a model could be written as, before there is one.
  ///
  /// - Parameters:
  ///   - profile: Who is going to load it.
  ///   - model: Facts of the base model.
  ///   - largestRank: The largest rank that a module may have.
  /// - Throws: `ProfileError`.
  public static func check(_ profile: ConsumerProfile, model: ConsumerModel?, largestRank: Int)
    throws(ProfileError)
  {
    if profile.parts.contains(.llamaCpp), model.flatMap(GGUFNaming.init) == nil {
      throw .unknownFamily(modelType: model?.modelType, known: GGUFNaming.knownModelTypes)
    }
    if profile.parts.contains(.vllm) { _ = try vllmRank(for: largestRank) }
  }

  private static func vllmRank(for rank: Int) throws(ProfileError) -> Int {
    guard let room = ConsumerProfile.vllmRanks.first(where: { $0 >= rank }) else {
      throw .rankTooLarge(rank: rank, largest: ConsumerProfile.vllmRanks.last ?? 0)
    }
    return room
  }

  /// Writes all files into a folder that exists and is empty.
  ///
  /// - Returns: Sentences on what is left out, and on what the consumer must be told.
  /// - Throws: `ProfileError`, or what the device or the source has against it.
  public func write(to folder: String) throws -> [String] {
    try profile.parts.flatMap { part in
      switch part {
      case .peft: try writePEFT(to: folder)
      case .vllm: try writeVLLM(to: folder)
      case .llamaCpp: try writeGGUF(to: folder + "/adapter.gguf")
      case .mlx: try writeMLX(to: profile == .all ? folder + "/mlx" : folder)
      case .all: [String]()
      }
    }
  }

  private var largestRank: Int { source.updates.map(\.rank).max() ?? 1 }

  private func writePEFT(to folder: String) throws -> [String] {
    try PEFTProfile(
      uniform: nil, factorType: factorType ?? source.factorType ?? .f32, model: model, keepsOthers: true,
      dividesExperts: false
    ).write(source, to: folder)
    return []
  }

  private func writeVLLM(to folder: String) throws -> [String] {
    let rank = try Self.vllmRank(for: largestRank)
    let scaling = UniformScaling(source.updates, rank: rank)
    // In the folder for all, PEFT must find its fused experts.
    let dividesExperts = profile == .vllm
    try PEFTProfile(
      uniform: scaling, factorType: storedType(scaling), model: model, keepsOthers: false,
      dividesExperts: dividesExperts
    ).write(source, to: folder)
    var sentences = leftOutOthers("vLLM refuses them")
    if rank > 16 { sentences.append("vllm: start vLLM with --max-lora-rank \(rank)") }
    sentences += notesOnVLLM(dividesExperts: dividesExperts)
    return sentences
  }

  private func notesOnVLLM(dividesExperts: Bool) -> [String] {
    let fused = dividesExperts ? WeightUpdates(source.updates, model: model).undivided.count : fusedCount
    var sentences: [String] = []
    if fused > 0 {
      sentences.append(
        "vllm: \(fused) fused updates of experts stay fused: vLLM takes them only with --enable-mixed-moe-lora-format and "
          + "is_3d_lora_weight in the request, gate_up_proj and down_proj together, and passes over mixtral's"
          + (dividesExperts ? "" : "; --for vllm takes them apart"))
    }
    let special = source.updates.filter { $0.isEmbedding || $0.path.hasSuffix("lm_head") }.map(\.path)
    if !special.isEmpty {
      sentences.append(
        "vllm: adapters of \(special.joined(separator: " and ")) are taken for some models only; for others vLLM "
          + "refuses the whole adapter")
    }
    return sentences
  }

  private var fusedCount: Int {
    Set(source.updates.compactMap(\.expert).filter { !$0.isRouter }.map(\.parameter)).count
  }

  private func writeGGUF(to path: String) throws -> [String] {
    guard let naming = model.flatMap(GGUFNaming.init) else {
      throw ProfileError.unknownFamily(modelType: model?.modelType, known: GGUFNaming.knownModelTypes)
    }
    let scaling = UniformScaling(source.updates, rank: largestRank)
    let (weights, sentences) = try consumerWeights("llama.cpp", place: naming.place)
    // llama.cpp's own converter writes f32 unless told otherwise, and every back end multiplies it.
    try GGUFAdapter(naming: naming, scaling: scaling, factorType: factorType ?? .f32)
      .write(weights, from: source, to: path)
    return sentences + leftOutOthers("llama.cpp applies none", profile: "llama.cpp")
  }

  private func writeMLX(to folder: String) throws -> [String] {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let scaling = UniformScaling(source.updates, rank: largestRank)
    let naming = MLXNaming(tiesWordEmbeddings: model?.tiesWordEmbeddings ?? false)
    let (weights, sentences) = try consumerWeights("mlx", place: naming.place)
    try MLXAdapter(scaling: scaling, factorType: storedType(scaling), layerCount: model?.layerCount)
      .write(weights, from: source, to: folder)
    return sentences + leftOutOthers("mlx-lm loads factors only", profile: "mlx")
  }

  /// The adapter's own type, unless a scale that goes into B would cost bits of it.
  private func storedType(_ scaling: UniformScaling) -> FactorType {
    factorType ?? (scaling.isExact(for: source.updates) ? source.factorType : nil) ?? .f32
  }

  /// The weights under a consumer's names, and sentences on those without a place.
  private func consumerWeights(
    _ profile: String, place: (WeightUpdate) -> ConsumerPlace
  ) throws -> ([ConsumerWeight], [String]) {
    let divided = WeightUpdates(source.updates, model: model)
    let named = ConsumerWeights(divided.weights, expertCount: model?.expertCount, place: place)
    var leftOut = named.leftOut
    leftOut += divided.undivided.map {
      ($0, "fused experts of this model or shape cannot be taken apart")
    }
    guard !named.weights.isEmpty else {
      let first = leftOut.first ?? ("", "it has none")
      throw ProfileError.nothingLeft(
        adapter: source.path, profile: profile, example: first.0, reason: first.1)
    }
    return (named.weights, summary(leftOut, profile))
  }

  private func leftOutOthers(_ reason: String, profile: String = "vllm") -> [String] {
    let names = source.otherTensors.map { String($0.name.dropFirst("base_model.model.".count)) }
    guard let first = names.first else { return [] }
    return [
      "\(profile): left out: \(counted(names.count, "tensor")) stored whole, such as '\(first)': \(reason)"
    ]
  }
}

/// One sentence a reason.
private func summary(_ leftOut: [(path: String, reason: String)], _ profile: String) -> [String] {
  var reasons: [String] = []
  for (_, reason) in leftOut where !reasons.contains(reason) { reasons.append(reason) }
  return reasons.map { reason in
    let paths = leftOut.filter { $0.reason == reason }.map(\.path)
    return "\(profile): left out: "
      + (paths.count == 1 ? "'\(paths[0])'" : "\(paths.count) updates, such as '\(paths[0])'") + ": \(reason)"
  }
}

private func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
