internal import Adapters
internal import Checkpoints
internal import Initialisations
internal import LinearAlgebra
internal import WeightSources

/// An adapter that was trained on a residual model, turned into one of the original model.
///
/// The original weights are the residual plus the initial product; what training changed is the trained product minus
/// the initial one, of twice the rank: exactly, or cut to a rank.
struct ResidualConversion {
  private let request: ConversionRequest
  private let record: InitialisationRecord?
  private let trained: PEFTAdapter
  private let initial: [String: PEFTAdapter.Module]
  private let initialAdapter: PEFTAdapter

  /// Opens both adapters and holds them against each other.
  init(_ request: ConversionRequest, _ record: InitialisationRecord?) throws {
    self.request = request
    self.record = record
    trained = try PEFTAdapter.open(request.trainedPath)
    if let mapping = trained.latentMappings.first {
      throw ConversionError.foreignMapping(path: trained.path, tensor: mapping.location.name)
    }
    initialAdapter = try PEFTAdapter.open(
      record == nil ? request.originPath : request.originPath + "/adapter")
    initial = Dictionary(uniqueKeysWithValues: initialAdapter.modules.map { ($0.path, $0) })
    for module in trained.modules { try check(module) }
    let paths = Set(trained.modules.map(\.path))
    if let missing = initialAdapter.modules.first(where: { !paths.contains($0.path) }) {
      throw ConversionError.notTrained(
        path: trained.path, module: missing.path, initialPath: initialAdapter.path)
    }
  }

  private func check(_ module: PEFTAdapter.Module) throws {
    guard let first = initial[module.path] else {
      throw ConversionError.notInitialised(
        path: trained.path, module: module.path, initialPath: initialAdapter.path)
    }
    guard module.scale == first.scale else {
      throw ConversionError.otherScale(
        path: trained.path, module: module.path, scale: module.scale, initialScale: first.scale)
    }
    let (shape, initialShape) = (
      [module.outputCount, module.inputCount], [first.outputCount, first.inputCount]
    )
    guard shape == initialShape else {
      throw ConversionError.otherShape(
        path: trained.path, module: module.path, shape: shape, initialShape: initialShape)
    }
  }

  /// Writes the plain adapter; returns the line a person wants to read.
  func write(to folder: String) throws -> String {
    let fullRanks = trained.modules.map { $0.rank + (initial[$0.path]?.rank ?? 0) }
    let ranks = zip(trained.modules, fullRanks).map { module, full in
      min(full, request.rank.map { min($0, module.outputCount, module.inputCount) } ?? full)
    }
    var output = try AdapterOutput(
      folder: folder, trained: trained, ranks: ranks, factorType: factorType, keptTensors: trained.saved,
      baseModel: request.baseModel(record, trained.configuration.baseModelNameOrPath))
    let reader = DeltaReader()
    for (index, module) in trained.modules.enumerated() {
      let stacked = try update(module, reader)
      let update = LowRankUpdate(
        b: stacked.b.firstRows(stacked.b.rowCount), a: stacked.a.firstRows(stacked.a.rowCount))
      guard ranks[index] < fullRanks[index] else {
        try output.write(update, of: update, module: index, with: reader)
        continue
      }
      let cut = try stacked.truncated(to: ranks[index]).factors
      try output.write(
        LowRankUpdate(b: cut.b.matrix.narrowed(), a: cut.a.matrix.narrowed()), of: update, module: index,
        with: reader)
    }
    let kept = try output.finish(with: reader)
    return "\(trained.modules.count) modules, rank \(ranks.max() ?? 0), " + (kept ?? "exact")
  }

  private func update(_ module: PEFTAdapter.Module, _ reader: DeltaReader) throws -> PlainUpdate {
    guard let first = initial[module.path] else {
      preconditionFailure("every trained module was looked for")
    }
    let now = try trained.readFactors(of: module, with: reader)
    let before = try initialAdapter.readFactors(of: first, with: reader)
    return PlainUpdate(a: now.a, b: now.b, initialA: before.a, initialB: before.b)
  }

  private var factorType: FactorType {
    if let type = request.factorType { return type }
    guard request.rank == nil else { return .f32 }
    return commonFactorType(
      (trained.modules + initialAdapter.modules).flatMap { [$0.a.elementType, $0.b.elementType] })
  }
}
