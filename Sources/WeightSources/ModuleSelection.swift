public import Checkpoints

/// Which modules are decomposed, and why the others are not.
public struct ModuleSelection: Sendable {
  /// The modules to decompose, by name.
  public let modules: [SelectedModule]
  /// Every other pair, by name, with the reason.
  public let leftOut: [LeftOut]

  /// A module whose difference is decomposed.
  public struct SelectedModule: Sendable, Codable, Hashable {
    /// The module's path in the checkpoint, such as `model.layers.0.self_attn.q_proj`.
    public let name: String
    /// Linear, embedding or head.
    public let role: ModuleRole
    /// Where its matrix is.
    public let pair: TensorPair
    /// Its place in a tensor of all experts; nil for a module of its own.
    public let stack: ExpertStackPlace?

    /// Selects a module.
    public init(name: String, role: ModuleRole, pair: TensorPair, stack: ExpertStackPlace? = nil) {
      self.name = name
      self.role = role
      self.pair = pair
      self.stack = stack
    }

    /// Whether the matrix is its own, and not another module's that it is tied to.
    var ownsMatrix: Bool { stack != nil || modulePath(ofTensor: pair.name) == name }
  }

  /// A pair that is not decomposed.
  public struct LeftOut: Sendable, Codable, Hashable {
    /// The pair.
    public let pair: TensorPair
    /// Its role in the model.
    public let role: ModuleRole
    /// Why.
    public let reason: Reason

    /// Leaves a pair out.
    public init(pair: TensorPair, role: ModuleRole, reason: Reason) {
      self.pair = pair
      self.role = role
      self.reason = reason
    }

    /// The linear layer whose weight it is; nil if it is none.
    package var matrixModule: SelectedModule? {
      guard role == .linear, !isInStack(pair.name) else { return nil }
      return SelectedModule(name: modulePath(ofTensor: pair.name), role: role, pair: pair)
    }
  }

  /// Why a pair is not decomposed.
  public enum Reason: String, Sendable, Codable {
    /// It is a vector, or has three dimensions or more and is no stack of experts.
    case noMatrix = "no matrix"
    /// It is an embedding, and `--embeddings` was not given.
    case embedding = "embedding; --embeddings takes it in"
    /// It is the head, and `--head` was not given.
    case head = "head; --head takes it in"
    /// `--targets`, `--include` or `--exclude` leave it out.
    case filtered = "left out by the filters"
    /// Its elements are no numbers.
    case notNumeric = "no floating-point values"
  }

  /// What the command line says about modules.
  public struct Options: Sendable, Codable, Equatable {
    /// Last path components to keep; empty keeps all.
    public var targets: [String] = []
    /// Regular expressions of which one must occur in a module's path; empty keeps all.
    public var include: [String] = []
    /// Regular expressions of which none may occur in a module's path.
    public var exclude: [String] = []
    /// Take embeddings too.
    public var takesEmbeddings = false
    /// Take the head too.
    public var takesHead = false

    /// All linear layers and nothing else.
    public init() {}
  }

  /// Sorts every pair into selected and left out.
  ///
  /// A head that is tied to the input embedding has no tensor of its own; with `takesHead` it is decomposed
  /// from the embedding's.
  /// - Throws: `SourceError` for a pattern that matches nothing, for a selected matrix that is no number or
  ///   changed its shape, and if nothing is left.
  public init(_ pairing: Pairing, tuned: Checkpoint, isHeadTied: Bool, options: Options) throws {
    let candidates = matrixCandidates(pairing, isHeadTied: isHeadTied)
    let filter = try ModuleFilter(options, candidates: candidates.map(\.name))
    if options.takesHead && !candidates.contains(where: { $0.role == .head }) {
      throw noHead(pairing, tuned: tuned)
    }
    if options.takesEmbeddings && !candidates.contains(where: { $0.role == .embedding }) {
      throw SourceError.noEmbeddings(checkpoint: tuned.path)
    }
    var selected: [SelectedModule] = []
    var leftOut = pairing.pairs.compactMap { pair -> LeftOut? in
      let role = ModuleRole(tensor: pair.name, shape: pair.shape)
      guard !role.isMatrix && (role != .experts || pair.elementCount == 0) else { return nil }
      return LeftOut(pair: pair, role: role, reason: pair.isNumeric ? .noMatrix : .notNumeric)
    }
    for candidate in candidates {
      if let reason = filter.reasonToLeaveOut(candidate.name, role: candidate.role) {
        // A tied head's tensor is listed once, as the embedding.
        if let pair = candidate.pair, candidate.ownsMatrix {
          leftOut.append(
            LeftOut(pair: pair, role: candidate.role, reason: pair.isNumeric ? reason : .notNumeric))
        }
      } else {
        selected.append(try candidate.selected())
      }
    }
    guard !selected.isEmpty else { throw SourceError.nothingSelected(candidateCount: candidates.count) }
    modules = selected.sorted { $0.name < $1.name }
    self.leftOut = joiningWholeStacks(of: pairing, leftOut).sorted { $0.pair.name < $1.pair.name }
  }
}

extension ModuleSelection {
  /// The modules that any of some selections from one pair of models takes; what is left out is left out by all.
  public init(unionOf selections: [ModuleSelection]) {
    var taken: Set<String> = []
    modules = selections.flatMap(\.modules).filter { taken.insert($0.name).inserted }.sorted {
      $0.name < $1.name
    }
    // A tied head is decomposed from the tensor of an embedding that may itself be left out.
    var listed = Set(modules.filter(\.ownsMatrix).map(\.pair.name))
    listed.formUnion(modules.compactMap(\.stack?.tensor))
    leftOut = selections.flatMap(\.leftOut).filter { listed.insert($0.pair.name).inserted }
      .sorted { $0.pair.name < $1.pair.name }
  }
}

/// Why there is no head to take.
private func noHead(_ pairing: Pairing, tuned: Checkpoint) -> SourceError {
  let heads = pairing.onlyInTuned.filter { ModuleRole(tensor: $0.name, shape: $0.shape) == .head }
  return heads.first.map { .headInOne(tensor: $0.name, checkpoint: tuned.path) }
    ?? .noHead(checkpoint: tuned.path)
}
