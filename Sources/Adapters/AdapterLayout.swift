public import Checkpoints
public import WeightSources

/// What an adapter may hold, decided before any module is decomposed.
///
/// Ranks can only turn out smaller than planned, so every tensor has its largest size here and the file can
/// be laid out at once.
public struct AdapterLayout: Sendable, Codable {
  /// The modules with factors, in the plan's order.
  public let modules: [Module]
  /// Tensors that may be stored whole: those of normalisations, if asked for.
  public let savable: [SavableTensor]
  /// The type of the factors.
  public let factorType: FactorType
  /// Whether each linear module's change of bias is stored beside its factors.
  public let writesBias: Bool

  /// One module with factors.
  public struct Module: Sendable, Codable {
    /// The module's path as PEFT sees it.
    public let path: String
    /// Linear, embedding or head.
    public let role: ModuleRole
    /// Which side of the stored matrix is the input.
    public let layout: WeightLayout
    /// Rows of the stored matrix.
    public let rowCount: Int
    /// Columns of the stored matrix.
    public let columnCount: Int
    /// The rank asked for, at most min(rows, columns).
    public let largestRank: Int

    /// Describes a module.
    public init(
      path: String, role: ModuleRole, layout: WeightLayout, rowCount: Int, columnCount: Int, largestRank: Int
    ) {
      self.path = path
      self.role = role
      self.layout = layout
      self.rowCount = rowCount
      self.columnCount = columnCount
      self.largestRank = largestRank
    }

    /// Describes a module of which no stored matrix is at hand.
    public init(path: String, isEmbedding: Bool = false, outputCount: Int, inputCount: Int, largestRank: Int)
    {
      self.init(
        path: path, role: isEmbedding ? .embedding : .linear, layout: .outputByInput, rowCount: outputCount,
        columnCount: inputCount, largestRank: largestRank)
    }

    /// Features going in.
    public var inputCount: Int { layout == .outputByInput ? columnCount : rowCount }
    /// Features coming out.
    public var outputCount: Int { layout == .outputByInput ? rowCount : columnCount }
  }

  /// A tensor of the fine-tuned model that is stored as it is.
  public struct SavableTensor: Sendable, Codable {
    /// The path of its module as PEFT sees it.
    public let modulePath: String
    /// Its name inside the module: `weight` or `bias`.
    public let parameter: String
    /// Where its values are.
    public let location: TensorLocation

    /// Describes a tensor.
    public init(modulePath: String, parameter: String, location: TensorLocation) {
      self.modulePath = modulePath
      self.parameter = parameter
      self.location = location
    }
  }

  /// A layout of given parts.
  /// - Throws: `AdapterError.biasOnEmbedding` if biases are wanted on an embedding.
  public init(modules: [Module], savable: [SavableTensor], factorType: FactorType, writesBias: Bool) throws {
    if writesBias, let embedding = modules.first(where: { $0.role == .embedding }) {
      throw AdapterError.biasOnEmbedding(module: embedding.path)
    }
    self.modules = modules
    self.savable = savable
    self.factorType = factorType
    self.writesBias = writesBias
  }

  /// Bytes of the factors at full rank.
  public var largestByteCount: Int {
    modules.reduce(0) { $0 + ($1.rowCount + $1.columnCount) * $1.largestRank }
      * factorType.elementType.bitWidth / 8
  }
}
