internal import Adapters
internal import Checkpoints
internal import LinearAlgebra
internal import WeightSources

/// The plain adapter that a trained one is converted into: its modules with other factors, everything else as it is.
struct AdapterOutput: ~Copyable {
  private let folder: String
  private let trained: PEFTAdapter
  private var writer: PEFTAdapterWriter

  /// Lays it out.
  ///
  /// - Parameters:
  ///   - folder: Where to; it exists.
  ///   - trained: The adapter that is converted.
  ///   - ranks: The new rank of each of its modules.
  ///   - factorType: The type of the new factors.
  ///   - keptTensors: Those of the trained adapter's own tensors that go along.
  ///   - baseModel: What the loader may fetch the original model by.
  /// - Throws: `CheckpointError.system` if the device refuses, `AdapterError` if the parts do not go together.
  init(
    folder: String, trained: PEFTAdapter, ranks: [Int], factorType: FactorType,
    keptTensors: [PEFTAdapter.SavedTensor], baseModel: String
  ) throws {
    let modules = zip(trained.modules, ranks).map { module, rank in
      AdapterLayout.Module(
        path: module.path, isEmbedding: module.isEmbedding, outputCount: module.outputCount,
        inputCount: module.inputCount, largestRank: rank)
    }
    let layout = try AdapterLayout(
      modules: modules, savable: keptTensors.map(savable), factorType: factorType,
      writesBias: trained.modules.contains { $0.bias != nil })
    let configuration = trained.configuration
    let targets: PEFTAdapterWriter.Description.Targets =
      configuration.targetModules.map {
        .given(TargetModules(targets: $0, exclusions: configuration.excludeModules ?? []))
      } ?? .paths
    writer = try PEFTAdapterWriter(
      folder: folder, layout: layout,
      description: .init(
        baseModel: baseModel, taskType: configuration.taskType, fanInFanOut: configuration.fanInFanOut,
        targets: targets))
    self.folder = folder
    self.trained = trained
  }

  /// Writes a module's new factors, to be scaled as the trained ones were.
  mutating func write(
    a: borrowing Matrix<Float>, b: borrowing Matrix<Float>, scale: Double, module index: Int,
    with reader: DeltaReader
  ) throws {
    let bias = try trained.readBias(of: trained.modules[index], with: reader)
    try writer.write(a: a, b: b, alpha: scale * Double(a.rowCount), bias: bias, module: index)
  }

  /// Writes what is left; all files are durable when this returns.
  consuming func finish(keeping tensorCount: Int, with reader: DeltaReader) throws {
    for index in 0..<tensorCount { try writer.writeSavable(at: index, with: reader) }
    let path = folder + "/adapter_config.json"
    let configuration = try writer.finish()
    try writeDurably(configuration.encoded(), to: path)
  }
}

private func savable(_ tensor: PEFTAdapter.SavedTensor) -> AdapterLayout.SavableTensor {
  let module = modulePath(ofTensor: tensor.name)
  return AdapterLayout.SavableTensor(
    modulePath: module, parameter: String(tensor.name.dropFirst(module.count + 1)), location: tensor.location)
}

/// The type that holds numbers of all these types as they are.
func commonFactorType(_ types: [ElementType]) -> FactorType {
  guard Set(types).count == 1, let type = types.first else { return .f32 }
  return type == .bf16 ? .bf16 : type == .f16 ? .f16 : .f32
}
