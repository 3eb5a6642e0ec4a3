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
  /// The rank that all experts of a set are stored with, by the name of the set.
  private let expertRanks: [String: Int]

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
    /// Its place among fused experts; nil for a module of its own.
    public internal(set) var expert: FusedExpert?

    /// Describes a module.
    public init(
      path: String, role: ModuleRole, layout: WeightLayout, rowCount: Int, columnCount: Int, largestRank: Int,
      expert: FusedExpert? = nil
    ) {
      self.path = path
      self.role = role
      self.layout = layout
      self.rowCount = rowCount
      self.columnCount = columnCount
      self.largestRank = largestRank
      self.expert = expert
    }

    /// Describes a module of which no stored matrix is at hand.
    public init(
      path: String, isEmbedding: Bool = false, outputCount: Int, inputCount: Int, largestRank: Int,
      expert: FusedExpert? = nil
    ) {
      self.init(
        path: path, role: isEmbedding ? .embedding : .linear, layout: .outputByInput, rowCount: outputCount,
        columnCount: inputCount, largestRank: largestRank, expert: expert)
    }

    /// A decomposed module, with some of its triplets.
    public init(_ module: DecomposedModule, rank: Int) {
      self.init(
        path: module.path, role: module.role, layout: module.layout, rowCount: module.shape[0],
        columnCount: module.shape[1], largestRank: rank, expert: module.expert)
    }

    /// A module of another adapter, with other factors.
    public init(_ module: PEFTAdapter.Module, rank: Int) {
      self.init(
        path: module.path, isEmbedding: module.isEmbedding, outputCount: module.outputCount,
        inputCount: module.inputCount, largestRank: rank, expert: module.expert)
    }

    /// Those modules share it which are stored with one rank; nil for what is no expert.
    ///
    /// A router that is a parameter goes with those that are modules: the few zeros spare PEFT a pattern, of which it would
    /// warn.
    package var rankSet: String? {
      if let expert, expert.count > 1 { return expert.parameter }
      return (expert != nil ? .router : kindOfExpertModule)?.rawValue
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
  /// - Throws: `AdapterError.biasOnEmbedding` or `.biasOnExperts` if biases are wanted where PEFT has none.
  public init(modules: [Module], savable: [SavableTensor], factorType: FactorType, writesBias: Bool) throws {
    if writesBias, let embedding = modules.first(where: { $0.role == .embedding }) {
      throw AdapterError.biasOnEmbedding(module: embedding.path)
    }
    if writesBias, let expert = modules.lazy.compactMap(\.expert).first {
      throw AdapterError.biasOnExperts(parameter: expert.parameter)
    }
    self.modules = nestingExperts(modules)
    // A parameter beside another that is written is written too, if with zeros.
    let written = Set(modules.compactMap { $0.largestRank > 0 ? $0.expert?.owner : nil })
    var expertRanks = Dictionary(grouping: modules.filter { $0.rankSet != nil }) { $0.rankSet ?? "" }
      .mapValues { set in
        let isWritten = set[0].expert.map { written.contains($0.owner) } ?? false
        return set.reduce(isWritten ? 1 : 0) { max($0, $1.largestRank) }
      }
    // Theirs is the configuration's, which is the largest of all.
    for kind in Module.KindOfExpertModule.allCases where expertRanks[kind.rawValue] ?? 0 > 0 {
      expertRanks[kind.rawValue] = modules.map(\.largestRank).max()
    }
    self.expertRanks = expertRanks
    self.savable = savable
    self.factorType = factorType
    self.writesBias = writesBias
  }

  /// The rank that factors of some rank are stored with, padded with zeros.
  ///
  /// It is their own but for experts. PEFT has one rank for all experts of a fused parameter, and one for all experts of a
  /// model that are modules, which it fuses itself where Transformers does.
  public func storedRank(ofModule index: Int, rank: Int) -> Int {
    modules[index].rankSet.flatMap { expertRanks[$0] } ?? rank
  }

  /// Bytes of the factors at full rank, zeros included.
  public var largestByteCount: Int {
    var stacked: Set<String> = []
    let count = modules.indices.reduce(0) { sum, index in
      let module = modules[index]
      if let expert = module.expert, !stacked.insert(expert.parameter).inserted { return sum }
      let stored = storedRank(ofModule: index, rank: module.largestRank) * (module.expert?.count ?? 1)
      return sum + (module.rowCount + module.columnCount) * stored
    }
    return count * factorType.elementType.bitWidth / 8
  }
}
