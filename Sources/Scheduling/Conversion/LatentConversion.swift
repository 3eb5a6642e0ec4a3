internal import Adapters
internal import Checkpoints
internal import Initialisations
internal import LinearAlgebra
internal import WeightSources

/// A LoRA-XS adapter, turned into a plain one: the trained matrix goes into B.
struct LatentConversion {
  private let request: ConversionRequest
  private let record: InitialisationRecord?
  private let trained: PEFTAdapter
  private let mappings: [String: TensorLocation]

  /// Opens the adapter and finds its trained matrices.
  init(_ request: ConversionRequest, _ record: InitialisationRecord?) throws {
    if request.rank != nil { throw ConversionError.foreignOption("--rank", method: "LoRA-XS") }
    self.request = request
    self.record = record
    let trained = try PEFTAdapter.open(request.trainedPath)
    self.trained = trained
    mappings = Dictionary(
      uniqueKeysWithValues: trained.latentMappings
        .map { (String($0.name.dropLast(LatentMapping.ending.count)), $0.location) })
    for module in trained.modules {
      guard let mapping = mappings[module.path] else {
        throw ConversionError.noMapping(path: trained.path, module: module.path)
      }
      guard mapping.shape == [module.rank, module.rank] else {
        throw ConversionError.otherTensorShape(
          path: trained.path, tensor: mapping.name, shape: mapping.shape,
          expected: [module.rank, module.rank])
      }
      guard mapping.elementType.isReadableAsFloat else {
        throw SourceError.notNumeric(tensor: mapping.name, elementType: mapping.elementType)
      }
    }
  }

  /// Writes the plain adapter; returns the line a person wants to read.
  func write(to folder: String) throws -> String {
    let kept = trained.saved.filter { !$0.name.hasSuffix(LatentMapping.ending) }
    let ranks = trained.modules.map(\.rank)
    var output = try AdapterOutput(
      folder: folder, trained: trained, ranks: ranks, factorType: request.factorType ?? .f32,
      keptTensors: kept, baseModel: request.baseModel(record, trained.configuration.baseModelNameOrPath))
    let reader = DeltaReader()
    for (index, module) in trained.modules.enumerated() {
      guard let location = mappings[module.path] else {
        preconditionFailure("every module's mapping was looked for")
      }
      let factors = try trained.readFactors(of: module, with: reader)
      let mapping = try location.readFiniteMatrix(with: reader)
      let update = LowRankUpdate(
        b: product(factors.b.widened(), mapping.widened()).narrowed(), a: factors.a.firstRows(module.rank))
      try output.write(update, of: update, module: index, with: reader)
    }
    let share = try output.finish(with: reader)
    return "\(trained.modules.count) modules, rank \(ranks.max() ?? 0), the latent matrices folded into B"
      + (share.map { ", \($0)" } ?? "")
  }
}

extension PEFTAdapter {
  /// The trained matrices of LoRA-XS.
  var latentMappings: [SavedTensor] { saved.filter { $0.name.hasSuffix(LatentMapping.ending) } }
}
