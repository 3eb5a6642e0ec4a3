public import Checkpoints
public import LinearAlgebra
public import WeightSources
internal import Foundation

/// A LoRA adapter in PEFT's format on disk: its modules, and where their factors are.
///
/// Opening reads the configuration and the header; factors are read module by module.
public struct PEFTAdapter: Sendable {
  /// The adapter's folder.
  public let path: String
  /// What its configuration says.
  public let configuration: StoredPEFTConfiguration
  /// The modules with factors, by path.
  public let modules: [Module]
  /// The tensors that stand for those of the model, by name.
  public let saved: [SavedTensor]

  /// One module with factors: all that a rank needs to read them.
  public struct Module: Sendable, Codable {
    /// Its path as PEFT sees it, such as `model.layers.0.self_attn.q_proj`.
    ///
    /// For one expert of a fused parameter it is `FusedExpert.path`.
    public let path: String
    /// Whether it is an embedding: its weight is vocabulary × dimension, changed by the transpose of B·A.
    public let isEmbedding: Bool
    /// Which expert it is, if its factors lie between those of others.
    public let expert: FusedExpert?
    /// A, rank × in.
    public let a: TensorLocation
    /// B, out × rank; of an expert, that of all experts of its parameter.
    public let b: TensorLocation
    /// A change of the layer's bias, also to be scaled, if there is one.
    public let bias: TensorLocation?
    /// The rank.
    public let rank: Int
    /// alpha as configured.
    public let alpha: Double
    /// What B·A is multiplied by.
    public let scale: Double

    /// Features going in.
    public var inputCount: Int { a.shape[1] }
    /// Features coming out.
    public var outputCount: Int { b.shape[0] }
    /// Bytes of both factors on disk.
    public var byteCount: Int { a.byteCount + b.byteCount / (expert?.count ?? 1) }
  }

  /// A tensor that takes the place of the model's.
  public struct SavedTensor: Sendable {
    /// The name of the tensor as PEFT sees it, such as `model.norm.weight`.
    public let name: String
    /// Where it is.
    public let location: TensorLocation
  }

  /// Reads the header and the configuration of a folder and checks them against each other.
  ///
  /// - Parameter path: The folder.
  /// - Returns: The adapter, none of whose factors has been read.
  /// - Throws: `PEFTAdapterError` or `CheckpointError` with what is wrong.
  public static func open(_ path: String) throws -> PEFTAdapter {
    let folder = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    let configuration = try StoredPEFTConfiguration(folder: folder)
    let file = folder + "/adapter_model.safetensors"
    guard FileManager.default.fileExists(atPath: file) else {
      throw PEFTAdapterError.missingFile(
        path: folder, file: "adapter_model.safetensors",
        hasPickled: FileManager.default.fileExists(atPath: folder + "/adapter_model.bin"))
    }
    var contents = AdapterContents(path: file)
    for tensor in try SafetensorsHeader.read(path: file).tensors { try contents.take(tensor) }
    let modules = try contents.modules(
      try configuration.resolver(),
      TargetParameters(path: configuration.path, targets: configuration.targetParameters))
    guard !modules.isEmpty || !contents.saved.isEmpty else { throw PEFTAdapterError.empty(path: file) }
    return PEFTAdapter(
      path: folder, configuration: configuration, modules: modules,
      saved: contents.saved.sorted { $0.name < $1.name })
  }
}

extension PEFTAdapter.Module {
  /// The factors in single precision, exact for every type that is no wider.
  ///
  /// - Parameter reader: Whose open files are used.
  /// - Returns: A and B as stored; the scale is not in them.
  /// - Throws: `PEFTAdapterError.notFinite` for a NaN or an infinity, `CheckpointError` if the file cannot be read.
  public func readFactors(with reader: DeltaReader) throws -> ModuleFactors {
    ModuleFactors(a: try readMatrix(a, reader), b: try readB(reader), scale: scale)
  }

  private func readB(_ reader: DeltaReader) throws -> Matrix<Float> {
    guard let expert else { return try readMatrix(b, reader) }
    let all = try reader.readKept(b)
    let columns = expert.columnsOfB(rank: rank)
    let own = Matrix<Float>(uninitializedRows: all.rowCount, columns: rank)
    for (component, column) in columns.enumerated() {
      own.view.columns(component..<component + 1).copy(from: all.matrix.view.columns(column..<column + 1))
    }
    if let place = own.firstNonFinite() {
      throw PEFTAdapterError.notFinite(
        path: b.filePath, tensor: b.name, row: place.row, column: columns[place.column])
    }
    return own
  }

  /// The change of the layer's bias as one row, not yet scaled; nil if there is none.
  public func readBias(with reader: DeltaReader) throws -> Matrix<Float>? {
    guard let bias else { return nil }
    return try readMatrix(bias, reader)
  }
}

extension PEFTAdapter {
  /// The factors of one of this adapter's modules.
  public func readFactors(of module: Module, with reader: DeltaReader) throws -> ModuleFactors {
    try module.readFactors(with: reader)
  }

  /// Its files as they are now: those with tensors, and the configuration.
  ///
  /// - Throws: `CheckpointError` if one cannot be asked.
  public func inputFiles() throws -> [InputFile] {
    let files = modules.map(\.a.filePath) + saved.map(\.location.filePath)
    return try (Set(files).sorted() + [path + "/adapter_config.json"]).map { try InputFile(path: $0) }
  }

  /// The change of a module's bias as one row, not yet scaled; nil if it has none.
  public func readBias(of module: Module, with reader: DeltaReader) throws -> Matrix<Float>? {
    try module.readBias(with: reader)
  }
}

private func readMatrix(_ location: TensorLocation, _ reader: DeltaReader) throws -> Matrix<Float> {
  let columns = max(1, location.shape.last ?? 1)
  let matrix = location.elementType.decode(
    try reader.readBytes(location), rows: location.elementCount / columns, columns: columns)
  if let place = matrix.firstNonFinite() {
    throw PEFTAdapterError.notFinite(
      path: location.filePath, tensor: location.name, row: place.row, column: place.column)
  }
  return matrix
}

/// The factors of one module: its update is scale · B·A.
public struct ModuleFactors: ~Copyable, Sendable {
  /// A, rank × in.
  public let a: Matrix<Float>
  /// B, out × rank.
  public let b: Matrix<Float>
  /// What B·A is multiplied by.
  public let scale: Double

  /// Factors that go together.
  public init(a: consuming Matrix<Float>, b: consuming Matrix<Float>, scale: Double) {
    precondition(a.rowCount == b.columnCount, "the factors have two ranks")
    self.a = a
    self.b = b
    self.scale = scale
  }

  /// The number of rows of A.
  public var rank: Int { a.rowCount }
}
