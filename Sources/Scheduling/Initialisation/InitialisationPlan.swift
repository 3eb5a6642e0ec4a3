public import Adapters
public import Checkpoints
internal import Foundation
internal import Initialisations
internal import LinearAlgebra
internal import WeightSources

/// Everything that all ranks need to know to initialise a model, made by one rank from the headers alone.
public struct InitialisationPlan: Sendable, Codable {
  /// What was asked for.
  public let request: InitialisationRequest
  /// The modules, the dearest first: unit i of the job is module i.
  public let modules: [Module]
  /// The type of the factors.
  public let factorType: FactorType
  /// What the model is used for, as PEFT calls it.
  public let taskType: String?
  /// Whether linear layers are stored transposed.
  public let usesConv1D: Bool
  /// The paths of all modules that own a tensor, as PEFT sees them.
  public let allModulePaths: [String]
  /// What else a person should know.
  public let notes: [String]
  /// The files that are read, as they were when this was made.
  public let inputs: [InputFile]

  /// One module that is initialised.
  public struct Module: Sendable, Codable {
    /// Its path in the checkpoint.
    public let name: String
    /// Its factors' place in an adapter.
    public let layout: AdapterLayout.Module
    /// Where its weight is.
    public let weight: TensorLocation
    /// Where the second moments of its inputs are, for CorDA.
    public let covariance: TensorLocation?
    /// Operations, roughly.
    public let cost: Double

    /// How many triplets, columns or singular values are trained.
    public var rank: Int { layout.largestRank }
    /// Whether the weight is stored in × out.
    public var isTransposed: Bool { layout.layout == .inputByOutput }
    /// Bytes to read.
    public var byteCount: Int { weight.byteCount + (covariance?.byteCount ?? 0) }
  }

  /// The adapter's layout, for the methods that have one.
  func adapterLayout() throws -> AdapterLayout {
    try AdapterLayout(
      modules: modules.map(\.layout), savable: [], factorType: factorType, writesBias: false)
  }

  /// The options as they were resolved.
  var optionRows: [(name: String, value: String)] { request.optionRows(factorType: factorType) }

  /// What tells this job from others: an interrupted one is carried on only by its like.
  public func identity(version: String) -> JobIdentity {
    JobIdentity(
      options: [("version", version), ("MODEL", request.modelPath)] + optionRows, inputs: inputs,
      units: modules.map { "\($0.name) \($0.rank)" }, circumstances: [("BLAS kernels", BLASLibrary.kernels)])
  }
}

extension InitialisationPlan {
  /// Reads the headers of the model, and of the covariances if there are any, and plans the job.
  ///
  /// - Throws: `CheckpointError`, `SourceError` or `InitialisationError` for whatever is wrong with the model or does
  ///   not fit the request. Nothing has been written or computed by then.
  public init(_ request: InitialisationRequest) throws {
    let model = try Checkpoint.open(request.modelPath)
    let configuration = try ModelConfiguration.read(modelPath: request.modelPath)
    let isHeadTied = configuration?.isHeadTied(in: model) ?? false
    let naming = PEFTNaming(configuration: configuration, tensorNames: model.sortedNames)
    var notes: [String] = []
    let selected = try selectModules(request, model, isHeadTied: isHeadTied, notes: &notes)
    let covariances = try request.covariancePath.map { try Checkpoint.open($0) }
    let places = selected.map { naming.layoutModule($0, rank: request.rank.rank(forShape: $0.pair.shape)) }
    notes += clampNotes(request, selected) + parameterNotes(places)
    let modules = try zip(selected, places).compactMap { module, layout -> Module? in
      let rank = layout.largestRank
      guard rank > 0 && !layout.isParameter else { return nil }
      return Module(
        name: module.name, layout: layout, weight: module.pair.tuned,
        covariance: try covariances.map { try covariance(of: module.name, layout, in: $0) },
        cost: cost(request, module.pair.shape, rank: rank, byteCount: module.pair.tuned.byteCount))
    }
    guard !modules.isEmpty else { throw SourceError.nothingSelected(candidateCount: selected.count) }
    self.request = request
    self.modules = modules.sorted { ($1.cost, $0.name) < ($0.cost, $1.name) }
    factorType = request.factorType ?? usualFactorType(request.method, modules)
    taskType = Adapters.taskType(ofArchitecture: configuration?.architectures.first)
    usesConv1D = naming.usesConv1D
    allModulePaths = naming.modulePaths(of: model.tensors)
    self.notes = notes
    inputs = try model.inputFiles() + (covariances?.files ?? []).map { try InputFile(path: $0) }
  }
}

/// The modules that the request names, each of a type and kind that can be initialised.
private func selectModules(
  _ request: InitialisationRequest, _ model: Checkpoint, isHeadTied: Bool, notes: inout [String]
) throws -> [ModuleSelection.SelectedModule] {
  var options = request.selection
  let isPackagesChoice =
    request.method == .svdTraining && options.targets.isEmpty && options.include.isEmpty
  let hasHead = model.tensors.values.contains { ModuleRole(tensor: $0.name, shape: $0.shape) == .head }
  if isPackagesChoice { options.takesHead = hasHead && !isHeadTied }
  if isPackagesChoice && isHeadTied {
    notes.append(
      "the head is tied to the embedding and stays as it is; svd-training would give it a weight of its own")
  }
  let selection = try ModuleSelection(
    Pairing(base: model, tuned: model), tuned: model, isHeadTied: isHeadTied, options: options)
  let modules = selection.modules.filter { !isPackagesChoice || isReplaced($0) }
  if request.method != .svdTraining { try seeThatExpertsAreWhole(modules, selection.leftOut) }
  for module in modules {
    if module.role == .embedding { throw InitialisationError.embedding(module: module.name) }
    if module.role == .head && isHeadTied { throw InitialisationError.tiedHead(module: module.name) }
    let tensor = module.pair.tuned
    guard [.f32, .f16, .bf16].contains(tensor.elementType) else {
      throw InitialisationError.unsuitableType(tensor: tensor.name, elementType: tensor.elementType)
    }
  }
  return modules
}

/// Sees that of each layer all experts are initialised, or none.
private func seeThatExpertsAreWhole(
  _ modules: [ModuleSelection.SelectedModule], _ leftOut: [ModuleSelection.LeftOut]
) throws {
  func place(_ module: ModuleSelection.SelectedModule) -> AdapterLayout.Module {
    AdapterLayout.Module(
      path: module.name, outputCount: module.pair.shape[0], inputCount: module.pair.shape[1], largestRank: 1)
  }
  let layout = try AdapterLayout(
    modules: modules.filter { $0.stack == nil }.map(place),
    others: leftOut.compactMap(\.matrixModule).map(place), savable: [], factorType: .f32, writesBias: false)
  if let missing = layout.companions.first { throw InitialisationError.someExperts(missing: missing.path) }
}

/// Whether svd-training replaces a module of its own accord.
private func isReplaced(_ module: ModuleSelection.SelectedModule) -> Bool {
  module.role == .head || SVDTraining.layerModules.contains { module.name.hasSuffix("." + $0) }
}

private func covariance(
  of module: String, _ layout: AdapterLayout.Module, in covariances: Checkpoint
) throws -> TensorLocation {
  guard let location = covariances.tensors[layout.path] ?? covariances.tensors[module] else {
    throw InitialisationError.noCovariance(
      module: layout.path, path: covariances.path, example: covariances.sortedNames.first ?? "")
  }
  guard location.shape == [layout.inputCount, layout.inputCount] else {
    throw InitialisationError.covarianceShape(
      module: location.name, path: covariances.path, shape: location.shape, inputCount: layout.inputCount)
  }
  guard location.elementType.isReadableAsFloat else {
    throw SourceError.notNumeric(tensor: location.name, elementType: location.elementType)
  }
  return location
}

private func parameterNotes(_ places: [AdapterLayout.Module]) -> [String] {
  let parameters = places.filter(\.isParameter)
  guard let first = parameters.first else { return [] }
  return [
    "\(parameters.count) of \(places.count) modules (such as '\(first.path)') are parameters in Transformers 5, of which PEFT "
      + "initialises no adapter; they stay as they are"
  ]
}

private func clampNotes(
  _ request: InitialisationRequest, _ modules: [ModuleSelection.SelectedModule]
) -> [String] {
  switch request.rank {
  case .number(let rank):
    let clamped = modules.filter { ($0.pair.shape.min() ?? 0) < rank }
    guard let first = clamped.first else { return [] }
    return [
      "rank \(rank) exceeds the shorter side of \(clamped.count) of \(modules.count) modules (such as "
        + "'\(first.name)', \(first.pair.shape)), whose rank is that side's length"
    ]
  case .fraction(let fraction):
    let small = modules.filter { request.rank.rank(forShape: $0.pair.shape) == 0 }
    guard let first = small.first else { return [] }
    return [
      "\(fraction) of the shorter side of \(small.count) of \(modules.count) modules (such as '\(first.name)', "
        + "\(first.pair.shape)) is less than one singular value; they stay as they are"
    ]
  }
}

/// Single precision, as PEFT has it, but for svd-training, whose four tensors become one model's parameters.
private func usualFactorType(_ method: InitialisationMethod, _ modules: [InitialisationPlan.Module])
  -> FactorType
{
  let types = Set(modules.map(\.weight.elementType))
  guard method == .svdTraining, types.count == 1 else { return .f32 }
  return types.first == .bf16 ? .bf16 : types.first == .f16 ? .f16 : .f32
}

private func cost(_ request: InitialisationRequest, _ shape: [Int], rank: Int, byteCount: Int) -> Double {
  let method: DecompositionMethod =
    request.method.takesLeadingTriplets ? DecompositionMethod(request.svd) : .dense
  let price = ModuleCost(
    rows: shape[0], columns: shape[1], rank: rank, method: method, byteCount: byteCount)
  let residual = 4 * Double(shape[0]) * Double(shape[1]) * Double(rank)
  // A QR factorisation of some columns costs as much as one product with as many vectors.
  return request.method == .olora ? 2 * residual : price.operations + residual
}
