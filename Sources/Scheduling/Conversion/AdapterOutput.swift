internal import Adapters
internal import Checkpoints
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// The plain adapter that a trained one is converted into: its modules with other factors, everything else as it is.
struct AdapterOutput: ~Copyable {
  private let folder: String
  private let trained: PEFTAdapter
  private let factorType: FactorType
  private let keptCount: Int
  private let layout: AdapterLayout
  private var writer: PEFTAdapterWriter
  private var energy = 0.0
  private var lostEnergy = 0.0
  private var isExact = true

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
    var description = trained.description(isWhole: true)
    description.baseModel = baseModel
    let layout = try trained.layout(ranks, factorType, keeping: keptTensors)
    writer = try PEFTAdapterWriter(folder: folder, layout: layout, description: description)
    self.layout = layout
    self.factorType = factorType
    keptCount = keptTensors.count
    self.folder = folder
    self.trained = trained
  }

  /// Writes a module's new factors, to be scaled as the trained ones were.
  ///
  /// - Parameters:
  ///   - factors: Not yet rounded to their type.
  ///   - update: What they are to be, of any rank.
  ///   - index: The module's number.
  ///   - reader: Whose open files are used.
  /// - Throws: `AdapterError.entryOverflow` for an entry beyond the type's range, or what a device has against it.
  mutating func write(
    _ factors: LowRankUpdate, of update: LowRankUpdate, module index: Int, with reader: DeltaReader
  ) throws {
    let module = trained.modules[index]
    let bias = try trained.readBias(of: module, with: reader)
    let rank = layout.storedRank(ofModule: index, rank: factors.rank)
    try writer.write(
      a: factors.a.matrix, b: factors.b.matrix, alpha: module.scale * Double(rank), bias: bias, module: index)
    let square = module.scale * module.scale
    energy += square * update.energy
    // The terms of an update nearly cancel: what rounding does to each may be much of their sum.
    let written = factors.rounded(to: factorType)
    guard !written.hasNumbers(of: update) else { return }
    isExact = false
    lostEnergy += square * update.squaredDistance(to: written)
  }

  /// Writes what is left; all files are durable when this returns.
  ///
  /// - Returns: How much of the updates the factors as they are written hold; nil for all, to the last digit.
  consuming func finish(with reader: DeltaReader) throws -> String? {
    for index in 0..<keptCount { try writer.writeSavable(at: index, with: reader) }
    let path = folder + "/adapter_config.json"
    let configuration = try writer.finish()
    try writeDurably(configuration.encoded(), to: path)
    if isExact { return nil }
    let share = energy > 0 ? 1 - lostEnergy / energy : lostEnergy > 0 ? 0 : 1
    return String(format: "%.2f %% of the update's energy kept", 100 * share)
  }
}

extension LowRankUpdate {
  /// Whether both factors hold the very same numbers as another's.
  fileprivate func hasNumbers(of other: LowRankUpdate) -> Bool {
    rank == other.rank && a.matrix.elements == other.a.matrix.elements
      && b.matrix.elements == other.b.matrix.elements
  }
}

/// The type that holds numbers of all these types as they are.
func commonFactorType(_ types: [ElementType]) -> FactorType {
  guard Set(types).count == 1, let type = types.first else { return .f32 }
  return type == .bf16 ? .bf16 : type == .f16 ? .f16 : .f32
}
