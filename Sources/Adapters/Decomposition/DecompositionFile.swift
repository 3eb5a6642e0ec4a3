internal import Checkpoints
internal import WeightSources

/// Writes the tensors of a decomposition's folder, module by module in the order of their names, then the vectors.
public struct DecompositionFile: ~Copyable {
  private var writer: ShardedWriter

  /// A module that will be written or left out.
  public struct Slot: Sendable {
    let module: String
    let outputCount: Int
    let inputCount: Int
    let largestRank: Int

    /// Describes a module by its path in the checkpoint and its layout.
    public init(module: String, _ layout: AdapterLayout.Module) {
      self.module = module
      outputCount = layout.outputCount
      inputCount = layout.inputCount
      largestRank = layout.largestRank
    }
  }

  /// Lays the files out for the largest ranks.
  ///
  /// - Parameters:
  ///   - folder: Where to; it must exist.
  ///   - modules: In the order in which they will come.
  ///   - vectors: Likewise, after the modules.
  ///   - shardSize: The greatest number of bytes of tensors in a file.
  public init(folder: String, modules: [Slot], vectors: [ModelVector], shardSize: Int) {
    let slots = modules.flatMap { module in
      let (names, rank) = (tripletNames(ofModule: module.module), module.largestRank)
      return [
        SafetensorsWriter.Slot(name: names.u, elementType: .f32, largestShape: [module.outputCount, rank]),
        SafetensorsWriter.Slot(name: names.values, elementType: .f64, largestShape: [rank]),
        SafetensorsWriter.Slot(name: names.vh, elementType: .f32, largestShape: [rank, module.inputCount]),
      ]
    }
    writer = ShardedWriter(
      folder: folder, name: DecompositionFolder.tensorFiles,
      slots: slots
        + vectors.map {
          SafetensorsWriter.Slot(
            name: $0.nameInFolder, elementType: $0.storedType, largestShape: [$0.length])
        }, shardSize: shardSize)
  }

  /// Writes the triplets of the next module, or leaves it out if it has none.
  ///
  /// - Throws: `CheckpointError` if they do not fit or the device fails.
  public mutating func write(_ triplets: ModuleTriplets?, of module: Slot) throws {
    let names = tripletNames(ofModule: module.module)
    guard let triplets else {
      for name in [names.u, names.values, names.vh] { try writer.omit(name) }
      return
    }
    try writer.write(triplets.u, to: names.u, shape: [module.outputCount, triplets.rank])
    try writer.write(storedBytes(of: triplets.values), to: names.values, shape: [triplets.rank])
    try writer.write(triplets.vh, to: names.vh, shape: [triplets.rank, module.inputCount])
  }

  /// Writes a vector, given as the folder stores it.
  ///
  /// - Throws: `CheckpointError` if it does not fit or the device fails.
  public mutating func write(_ bytes: [UInt8], of vector: ModelVector) throws {
    try writer.write(bytes, to: vector.nameInFolder, shape: [vector.length])
  }

  /// Makes files and index whole and durable.
  ///
  /// - Throws: `CheckpointError` if the device fails.
  public consuming func finish() throws { try writer.finish() }
}
