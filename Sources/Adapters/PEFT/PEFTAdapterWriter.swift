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
  }

  /// Writes the factors of one module, rounded to the layout's type.
  ///
  /// - Parameters:
  ///   - a: Rank × in.
  ///   - b: Out × rank.
  ///   - alpha: PEFT multiplies B·A by alpha / rank; nil for a scale of 1.
  ///   - bias: The change of the layer's bias over that scale, as one row; nil for none, or zeros if the layout has
  ///     biases.
  ///   - index: The module's in the layout.
  /// - Throws: `AdapterError.entryOverflow` for an entry beyond the type's range, `CheckpointError` if the factors are
  ///   larger than the layout says or the device fails.
  public mutating func write(
    a: borrowing Matrix<Float>, b: borrowing Matrix<Float>, alpha: Double? = nil,
    bias: consuming Matrix<Float>? = nil, module index: Int
  ) throws {
    let module = layout.modules[index]
    try file.write(
      a: try layout.factorType.encode(a, of: module.path),
      b: try layout.factorType.encode(b, of: module.path), rank: a.rowCount, module: index)
    try finishModule(index, rank: a.rowCount, alpha: alpha, bias: bias)
  }

  /// Writes factors that are rounded already; otherwise as above.
  public mutating func write(
    _ factors: LoRAFactors, alpha: Double? = nil, bias: consuming Matrix<Float>? = nil, module index: Int
  ) throws {
    try file.write(factors, module: index)
    try finishModule(index, rank: factors.rank, alpha: alpha, bias: bias)
  }

  private mutating func finishModule(
    _ index: Int, rank: Int, alpha: Double?, bias: consuming Matrix<Float>?
  ) throws {
    let module = layout.modules[index]
    if layout.writesBias {
      // PEFT gives every adapted layer a bias once one has it: no change is a bias of zeros.
      let change = bias ?? Matrix(repeating: 0, rows: 1, columns: module.outputCount)
      try file.writeBias(try layout.factorType.encode(change, of: module.path), module: index)
    }
    ranks[module.path] = rank
    alphas[module.path] = alpha ?? Double(rank)
  }

  /// Leaves a module of the layout out.
  public mutating func omit(module index: Int) throws { try file.omit(module: index) }

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
    let targets =
      switch description.targets {
      case .among(let all): TargetModules(adapted: ranks.keys.sorted(), all: all)
      case .given(let targets): targets
      case .paths: TargetModules(targets: ranks.keys.sorted(), exclusions: [])
      }
    let configuration = PEFTConfiguration(
      baseModel: description.baseModel, taskType: description.taskType, ranks: ranks, alphas: alphas,
      targets: targets, modulesToSave: description.modulesToSave ?? savedModules.sorted(),
      hasLoRABias: layout.writesBias, bias: description.bias, fanInFanOut: description.fanInFanOut,
      ensuresWeightTying: description.ensuresWeightTying)
    try file.finish()
    return configuration
  }
}
