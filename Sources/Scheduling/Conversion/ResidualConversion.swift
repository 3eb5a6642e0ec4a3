internal import Adapters
internal import Checkpoints
internal import Foundation
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
    var (energy, lost) = (0.0, 0.0)
    for (index, module) in trained.modules.enumerated() {
      let update = try update(module, reader)
      guard ranks[index] < fullRanks[index] else {
        try output.write(a: update.a, b: update.b, scale: module.scale, module: index, with: reader)
        continue
      }
      let (factors, dropped) = try update.truncated(to: ranks[index])
      let rest = module.scale * module.scale * dropped.reduce(0) { $0 + $1 * $1 }
      lost += rest
      energy += rest + module.scale * module.scale * factors.energy
      try output.write(
        a: factors.a.matrix.narrowed(), b: factors.b.matrix.narrowed(), scale: module.scale, module: index,
        with: reader)
    }
    try output.finish(keeping: trained.saved.count, with: reader)
    let rank = ranks.max() ?? 0
    return "\(trained.modules.count) modules, rank \(rank), "
      + (energy > 0
        ? String(format: "%.2f %% of the update's energy kept", 100 * (1 - lost / energy)) : "exact")
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
