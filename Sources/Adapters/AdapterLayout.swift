public import Checkpoints
public import WeightSources

/// What an adapter may hold, decided before any module is decomposed.
///
/// Ranks can only turn out smaller than planned, so every tensor has its largest size here and the file can
/// be laid out at once.
public struct AdapterLayout: Sendable, Codable {
  /// The modules with factors, in the plan's order.
  public let modules: [Module]
  /// Experts without factors beside others of their layer that may have some: PEFT loads all or none.
  package let companions: [Module]
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
    /// Routers that are parameters are of a set: the few zeros spare PEFT a pattern, of which it would warn.
    package var rankSet: String? {
      if let expert { return expert.isRouter ? routerSet : expert.parameter }
      return kindOfExpertModule.map { _ in moduleSet }
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
  ///
  /// - Parameters:
  ///   - modules: Those that may have factors.
  ///   - others: The model's other modules: experts among them get zeros beside those of their layer that have factors.
  ///   - savable: Tensors that may be stored whole.
  ///   - factorType: The type of the factors.
  ///   - writesBias: Whether changes of bias are stored.
  /// - Throws: `AdapterError.biasOnEmbedding` or `.biasOnExperts` if biases are wanted where PEFT has none, `.unknownOrder`
  ///   for parameters that it would nest in an unknown order.
  public init(
    modules: [Module], others: [Module] = [], savable: [SavableTensor], factorType: FactorType,
    writesBias: Bool
  ) throws(AdapterError) {
    if writesBias, let embedding = modules.first(where: { $0.role == .embedding }) {
      throw AdapterError.biasOnEmbedding(module: embedding.path)
    }
    if writesBias, let expert = modules.first(where: { $0.expert != nil || $0.kindOfExpertModule == .expert })
    {
      throw AdapterError.biasOnExperts(parameter: expert.expert?.parameter ?? expert.path)
    }
    self.modules = try nestingExperts(modules)
    let blocks = Set(modules.compactMap(\.expertBlock))
    companions = others.filter { $0.expertBlock.map(blocks.contains) ?? false }
    // A parameter beside another that is written is written too, if with zeros.
    let written = Set(modules.compactMap { $0.largestRank > 0 ? $0.expert?.owner : nil })
    var expertRanks = Dictionary(grouping: modules.filter { $0.rankSet != nil }) { $0.rankSet ?? "" }
      .mapValues { set in
        let isWritten = set[0].expert.map { written.contains($0.owner) } ?? false
        return set.reduce(isWritten ? 1 : 0) { max($0, $1.largestRank) }
      }
    // Theirs is the configuration's, which is the largest of all if no others need it.
    if expertRanks[routerSet] ?? 0 > 0 { expertRanks[routerSet] = modules.map(\.largestRank).max() }
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
    storedRank(of: place(index), rank: rank)
  }

  private func storedRank(of module: Module, rank: Int) -> Int {
    module.rankSet.flatMap { expertRanks[$0] } ?? rank
  }

  /// A module by its number; companions follow the modules.
  func place(_ index: Int) -> Module {
    index < modules.count ? modules[index] : companions[index - modules.count]
  }

  /// The rank of all experts and routers that are modules, which no pattern reaches: the configuration must have it.
  package var rankOfExpertModules: Int? { expertRanks[moduleSet].flatMap { $0 > 0 ? $0 : nil } }

  /// Bytes of the factors at full rank, zeros included.
  public var largestByteCount: Int {
    var stacked: Set<String> = []
    let count = (modules + companions).reduce(0) { sum, module in
      if let expert = module.expert, !stacked.insert(expert.parameter).inserted { return sum }
      let stored = storedRank(of: module, rank: module.largestRank) * (module.expert?.count ?? 1)
      return sum + (module.rowCount + module.columnCount) * stored
    }
    return count * factorType.elementType.bitWidth / 8
  }
}

/// Names of sets that no parameter has.
private let (moduleSet, routerSet) = ("experts and routers that are modules", "routers that are parameters")
