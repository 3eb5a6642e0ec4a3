internal import Checkpoints
public import LinearAlgebra
public import WeightSources

/// Writes a PEFT adapter from factors of any rank and alpha, one module at a time, in any order; none is kept.
///
/// The tensors' file has its name only when `finish()` returns, with the configuration that belongs to it.
public struct PEFTAdapterWriter: ~Copyable {
  private let layout: AdapterLayout
  private let description: Description
  private var file: PEFTAdapterFile
  private var ranks: [String: Int] = [:]
  private var alphas: [String: Double] = [:]
  private var savedModules: Set<String> = []
  private var experts: ExpertGathering
  /// Parameters among the names in `ranks`.
  private var parameters: Set<String> = []
  /// Experts that are modules and have no factors.
  private var omittedExperts: [Int] = []
  /// The alpha of those that have, by kind.
  private var alphaOfExperts: [AdapterLayout.Module.KindOfExpertModule: Double] = [:]

  /// What the configuration says besides the modules.
  public struct Description: Sendable {
    /// What the loader may fetch the base model by.
    public var baseModel: String
    /// PEFT's name for the model's use, if it has one.
    public var taskType: String?
    /// Whether the adapted layers store their weights transposed.
    public var fanInFanOut: Bool
    /// How PEFT finds the adapted modules.
    public var targets: Targets
    /// What `modules_to_save` says; nil for the paths of the modules that are stored whole.
    public var modulesToSave: [String]?
    /// Which biases are stored whole: none, all or lora_only.
    public var bias = "none"
    /// Whether what is trained of the input embedding is also the head's, where they are tied.
    public var ensuresWeightTying = false
    /// The version of PEFT whose order the factors of fused experts have; nil for today's.
    public var version: String?

    /// How PEFT finds the adapted modules.
    public enum Targets: Sendable {
      /// The shortest names that fit no other of these modules, which are all that own a tensor of the model.
      case among([String])
      /// These, whichever modules are written.
      case given(TargetModules)
      /// The whole paths of the modules that are written.
      case paths
    }

    /// A description of given values.
    public init(baseModel: String, taskType: String?, fanInFanOut: Bool = false, targets: Targets = .paths) {
      self.baseModel = baseModel
      self.taskType = taskType
      self.fanInFanOut = fanInFanOut
      self.targets = targets
    }
  }

  /// Lays the file out in a folder that exists.
  ///
  /// - Parameters:
  ///   - folder: Where `adapter_model.safetensors` is to be.
  ///   - layout: The modules with their largest ranks, and the tensors that may be stored whole.
  ///   - description: What the configuration says besides.
  /// - Throws: `CheckpointError.system` if the device refuses.
  public init(folder: String, layout: AdapterLayout, description: Description) throws {
    self.layout = layout
    self.description = description
    file = try PEFTAdapterFile(path: folder + "/adapter_model.safetensors", layout: layout)
    experts = ExpertGathering(layout)
  }

  /// Writes the factors of one module, rounded to the layout's type.
  ///
  /// - Parameters:
  ///   - a: Rank × in.
  ///   - b: Out × rank.
  ///   - alpha: PEFT multiplies B·A by alpha over the rank that the layout stores; nil for a scale of 1. All experts of a
  ///     fused parameter have one.
  ///   - bias: The change of the layer's bias over that scale, as one row; nil for none, or zeros if the layout has
  ///     biases.
  ///   - index: The module's in the layout.
  /// - Throws: `AdapterError.entryOverflow` for an entry beyond the type's range, `CheckpointError` if the factors are
  ///   larger than the layout says or the device fails.
  public mutating func write(
    a: borrowing Matrix<Float>, b: borrowing Matrix<Float>, alpha: Double? = nil,
    bias: consuming Matrix<Float>? = nil, module index: Int
  ) throws {
    let module = layout.place(index)
    try write(
      a: layout.factorType.encode(a, of: module.path), b: layout.factorType.encode(b, of: module.path),
      rank: a.rowCount, alpha: alpha, bias: bias, module: index)
  }

  /// Writes factors that are rounded already; otherwise as above.
  public mutating func write(
    _ factors: LoRAFactors, alpha: Double? = nil, bias: consuming Matrix<Float>? = nil, module index: Int
  ) throws {
    try write(a: factors.a, b: factors.b, rank: factors.rank, alpha: alpha, bias: bias, module: index)
  }

  private mutating func write(
    a: [UInt8], b: [UInt8], rank: Int, alpha: Double?, bias: consuming Matrix<Float>?, module index: Int
  ) throws {
    let module = layout.place(index)
    let stored = layout.storedRank(ofModule: index, rank: rank)
    note(module, rank: stored, alpha: alpha ?? Double(stored))
    guard module.expert == nil else {
      try write(experts.take(a: a, b: b, rank: rank, module, stored: stored))
      return
    }
    let width = layout.factorType.elementType.bitWidth / 8
    try file.write(
      a: a + [UInt8](repeating: 0, count: (stored - rank) * module.inputCount * width),
      b: paddedColumns(b, from: rank, to: stored, outputCount: module.outputCount, width: width),
      rank: stored, module: index)
    guard layout.writesBias else { return }
    // PEFT gives every adapted layer a bias once one has it: no change is a bias of zeros.
    let change = bias ?? Matrix(repeating: 0, rows: 1, columns: module.outputCount)
    try file.writeBias(try layout.factorType.encode(change, of: module.path), module: index)
  }

  /// Writes the factors of all experts of a parameter, if they have come.
  private mutating func write(_ stack: ExpertGathering.Stack?) throws {
    guard let stack else { return }
    let count = layout.modules[stack.place].expert?.count ?? 1
    try file.write(
      a: stack.factors.a, b: stack.factors.b, rank: count * stack.factors.rank, module: stack.place)
  }

  /// Keeps what the configuration must say of a module.
  private mutating func note(_ module: AdapterLayout.Module, rank: Int, alpha: Double) {
    let name = module.expert?.parameter ?? module.path
    ranks[name] = rank
    alphas[name] = alpha
    if module.expert != nil { parameters.insert(name) }
    if let kind = module.kindOfExpertModule { alphaOfExperts[kind] = alpha }
  }

  /// Leaves a module of the layout out.
  ///
  /// An expert beside others that are written gets factors of zeros: PEFT loads all experts of a parameter or none.
  public mutating func omit(module index: Int) throws {
    let module = layout.place(index)
    if let expert = module.expert {
      try write(experts.omit(expert))
    } else if module.kindOfExpertModule != nil {
      omittedExperts.append(index)
    } else {
      try file.omit(module: index)
    }
  }

  /// Writes or leaves out the experts that have no factors.
  private mutating func finishExperts() throws {
    let companions = layout.modules.count..<layout.modules.count + layout.companions.count
    for index in omittedExperts + companions {
      guard let alpha = layout.place(index).kindOfExpertModule.flatMap({ alphaOfExperts[$0] }) else {
        try file.omit(module: index)
        continue
      }
      try write(a: [], b: [], rank: 0, alpha: alpha, bias: nil, module: index)
    }
    let (written, omitted) = experts.empty()
    for place in omitted { try file.omit(module: place) }
    for place in written {
      let module = layout.modules[place]
      guard let expert = module.expert else { continue }
      let rank = layout.storedRank(ofModule: place, rank: 0)
      note(module, rank: rank, alpha: Double(rank))
      try write(.init(place: place, factors: experts.zeros(module, expert, rank: rank)))
    }
  }

  /// Copies a tensor of the layout that is stored whole, or leaves it out.
  ///
  /// - Parameters:
  ///   - index: The tensor's in the layout.
  ///   - reader: Whose open files are used; nil leaves the tensor out.
  /// - Throws: `CheckpointError` if it cannot be read or written.
  public mutating func writeSavable(at index: Int, with reader: DeltaReader?) throws {
    try writeSavable(try reader?.readBytes(layout.savable[index].location), at: index)
  }

  /// Writes a tensor of the layout that is stored whole, given in its type; nil leaves it out.
  public mutating func writeSavable(_ bytes: [UInt8]?, at index: Int) throws {
    try file.writeSavable(bytes, at: index)
    if bytes != nil { savedModules.insert(layout.savable[index].modulePath) }
  }

  /// Makes the file whole and durable; at least one module has been written.
  ///
  /// - Returns: What `adapter_config.json` must say.
  /// - Throws: `CheckpointError` if the device fails, or if a module was neither written nor left out.
  public consuming func finish() throws -> PEFTConfiguration {
    precondition(!ranks.isEmpty, "PEFT loads no adapter without modules")
    try finishExperts()
    let modules = ranks.keys.filter { !parameters.contains($0) }.sorted()
    let targets =
      switch description.targets {
      case .among(let all): TargetModules(adapted: modules, all: all)
      case .given(let targets): targets
      case .paths: TargetModules(targets: modules, exclusions: [])
      }
    // No pattern reaches experts that PEFT fuses: what the configuration says to all is theirs.
    let rank = alphaOfExperts.isEmpty ? nil : layout.rankOfExpertModules
    let configuration = PEFTConfiguration(
      baseModel: description.baseModel, taskType: description.taskType, rank: rank,
      alpha: alphaOfExperts[.expert] ?? alphaOfExperts[.router], ranks: ranks, alphas: alphas,
      targets: targets, targetParameters: parameters.sorted(),
      modulesToSave: description.modulesToSave ?? savedModules.sorted(),
      hasLoRABias: layout.writesBias, bias: description.bias, fanInFanOut: description.fanInFanOut,
      ensuresWeightTying: description.ensuresWeightTying,
      version: description.version)
    try file.finish()
    return configuration
  }
}
