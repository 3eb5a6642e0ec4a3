internal import Adapters
internal import Checkpoints
public import WeightSources

extension ExtractionPlan {
  /// Reads the headers of both models and plans the extraction.
  ///
  /// - Throws: `CheckpointError`, `SourceError` or `AdapterError` for whatever is wrong with the models or does
  ///   not fit the request. Nothing has been written or computed by then.
  public init(_ request: ExtractionRequest) throws {
    try self.init(request, filters: [request.selection], ranks: [request.rank], product: .factors)
  }

  /// Reads the headers of one model or two and plans a decomposition whose triplets are kept as they are.
  ///
  /// - Throws: As above.
  public init(decomposing request: ExtractionRequest) throws {
    try self.init(request, filters: [request.selection], ranks: [request.rank], product: .triplets)
  }

  /// The plan of one decomposition that serves many extractions.
  ///
  /// It has the modules of any of the filters, each at the largest of the ranks. Everything else is as in the
  /// request.
  ///
  /// - Parameters:
  ///   - request: Whose own filter and rank do not count.
  ///   - filters: Sets of modules.
  ///   - ranks: Rules of ranks.
  ///   - product: What each module's decomposition is handed over as.
  /// - Throws: As above.
  public init(
    _ request: ExtractionRequest, filters: [ModuleSelection.Options], ranks: [ExtractionRequest.RankRule],
    product: Product = .certifiedFactors
  ) throws {
    let base = try request.basePath.map(Checkpoint.open)
    let tuned = try Checkpoint.open(request.tunedPath)
    let configuration =
      try ModelConfiguration.read(modelPath: request.tunedPath)
      ?? request.basePath.flatMap(ModelConfiguration.read)
    let isHeadTied = configuration?.isHeadTied(in: tuned) ?? false
    let pairing =
      try base.map { try Pairing(base: $0, tuned: tuned, acceptsMixedTypes: request.acceptsMixedTypes) }
      ?? Pairing(weightsOf: tuned)
    let selection = try ModuleSelection(
      unionOf: filters.map {
        try ModuleSelection(
          pairing, tuned: tuned, isHeadTied: isHeadTied, options: $0)
      })
    let largestRank = { (shape: [Int]) in ranks.map { $0.rank(forShape: shape) }.max() ?? 1 }
    let naming = PEFTNaming(configuration: configuration, tensorNames: tuned.sortedNames)

    self.request = request
    modules = selection.modules
    leftOut = selection.leftOut
    layout = try AdapterLayout(
      modules: selection.modules.map { naming.layoutModule($0, rank: largestRank($0.pair.shape)) },
      others: selection.leftOut.compactMap(\.matrixModule).map { naming.layoutModule($0, rank: 0) },
      savable: request.savesNorms || product == .triplets ? savableTensors(pairing, naming) : [],
      factorType: request.factorType ?? naturalFactorType(selection.modules),
      writesBias: request.savesBias)
    costs = selection.modules.map { module in
      ModuleCost(
        rows: module.pair.shape[0], columns: module.pair.shape[1],
        rank: largestRank(module.pair.shape), method: request.method,
        byteCount: module.pair.byteCount)
    }
    taskType = Adapters.taskType(ofArchitecture: configuration?.architectures.first)
    usesConv1D = naming.usesConv1D
    allModulePaths = Set(
      tuned.sortedNames.map { name in
        naming.path(
          of: modulePath(ofTensor: name),
          role: ModuleRole(tensor: name, shape: tuned.tensors[name]?.shape ?? []))
      } + selection.modules.map { naming.path(of: $0.name, role: $0.role) }
    ).sorted()
    biases = request.savesBias || product == .triplets ? moduleBiases(selection.modules, pairing) : [:]
    notes = planNotes(pairing, selection, request, isHeadTied: isHeadTied)
    inputs = try (base?.inputFiles() ?? []) + tuned.inputFiles()
    units = orderedUnits(selection.modules, costs, leftOut: selection.leftOut)
    self.product = product
  }
}

private func naturalFactorType(_ modules: [ModuleSelection.SelectedModule]) -> FactorType {
  let types = modules.map {
    FactorType.natural(forBase: $0.pair.baseType, tuned: $0.pair.tuned.elementType)
  }
  return types.allSatisfy { $0 == .bf16 } ? .bf16 : .f32
}

/// Every tensor of every normalisation: PEFT replaces a saved module whole, its bias with its weight.
private func savableTensors(_ pairing: Pairing, _ naming: PEFTNaming) -> [AdapterLayout.SavableTensor] {
  let norms = Set(
    pairing.pairs.filter { ModuleRole(tensor: $0.name, shape: $0.shape) == .norm }
      .map { modulePath(ofTensor: $0.name) })
  return pairing.pairs.compactMap { pair in
    let module = modulePath(ofTensor: pair.name)
    guard norms.contains(module), pair.shape.count == 1 else { return nil }
    return AdapterLayout.SavableTensor(
      modulePath: naming.path(of: module, role: .norm),
      parameter: String(pair.name.dropFirst(module.count + 1)), location: pair.tuned)
  }
}

private func moduleBiases(_ modules: [ModuleSelection.SelectedModule], _ pairing: Pairing) -> [Int:
  TensorPair]
{
  let pairs = Dictionary(uniqueKeysWithValues: pairing.pairs.map { ($0.name, $0) })
  return Dictionary(
    uniqueKeysWithValues: modules.indices.compactMap { index in
      pairs[modules[index].name + ".bias"].map { (index, $0) }
    })
}

private func planNotes(
  _ pairing: Pairing, _ selection: ModuleSelection, _ request: ExtractionRequest, isHeadTied: Bool
) -> [String] {
  var notes: [String] = []
  if case .number(let rank) = request.rank {
    let clamped = selection.modules.filter { ($0.pair.shape.min() ?? 0) < rank }
    if let first = clamped.first {
      notes.append(
        "rank \(rank) exceeds the shorter side of \(clamped.count) of \(selection.modules.count) modules "
          + "(such as '\(first.name)', \(first.pair.shape)), whose rank is that side's length")
    }
  }
  for tensor in pairing.onlyInBase {
    notes.append("'\(tensor.name)' \(tensor.shape) is in the base model only")
  }
  for tensor in pairing.onlyInTuned {
    notes.append(
      "'\(tensor.name)' \(tensor.shape) is in the fine-tuned model only; no adapter of this base can hold it")
  }
  for tensor in pairing.reshaped {
    notes.append(
      "'\(tensor.tuned.name)' is \(tensor.base.shape) in the base model and \(tensor.tuned.shape) in the "
        + "fine-tuned one and is left out")
  }
  if isHeadTied {
    let taken = Set(selection.modules.map(\.role))
    let consequence =
      taken.contains(.head)
      ? "; its factors come from the embedding's difference, and PEFT warns about tied layers when it loads them"
      : taken.contains(.embedding)
        ? ", and does not follow the embedding's factors: PEFT leaves it as in the base model; --head takes it in"
        : ""
    notes.append("the head is tied to the input embedding\(consequence)")
  }
  return notes
}

/// The dearest first, so that the last units are small; equal ones as they lie in the files, for a file system that
/// likes to be read from front to back.
private func orderedUnits(
  _ modules: [ModuleSelection.SelectedModule], _ costs: [ModuleCost], leftOut: [ModuleSelection.LeftOut]
) -> [ExtractionPlan.WorkUnit] {
  let decomposed = costs.indices.sorted {
    (costs[$1].operations, place(modules[$0].pair)) < (costs[$0].operations, place(modules[$1].pair))
  }
  let measurable = leftOut.indices.filter { leftOut[$0].pair.isNumeric && leftOut[$0].pair.base != nil }
    .sorted {
      (leftOut[$1].pair.byteCount, place(leftOut[$0].pair)) < (
        leftOut[$0].pair.byteCount, place(leftOut[$1].pair)
      )
    }
  // Measuring only reads: early on there is much to compute meanwhile, at the end there is nothing.
  let first = decomposed.count / 4
  return decomposed[..<first].map { .decompose(module: $0) } + measurable.map { .measure(leftOut: $0) }
    + decomposed[first...].map { .decompose(module: $0) }
}

/// Where a tensor lies, as a key to sort by.
private func place(_ pair: TensorPair) -> FilePlace {
  FilePlace(path: pair.tuned.filePath, offset: pair.tuned.offset)
}

private struct FilePlace: Comparable {
  var path: String
  var offset: Int

  static func < (one: FilePlace, other: FilePlace) -> Bool {
    (one.path, one.offset) < (other.path, other.offset)
  }
}
