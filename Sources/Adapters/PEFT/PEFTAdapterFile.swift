internal import Checkpoints
internal import WeightSources

/// Streams factors into `adapter_model.safetensors` under PEFT's names, in any order of arrival.
///
/// The file appears under its name only when `finish()` returns; memory does not grow with the adapter.
public struct PEFTAdapterFile: ~Copyable {
  private let layout: AdapterLayout
  private var writer: SafetensorsWriter

  /// Lays the file out for the largest ranks.
  public init(path: String, layout: AdapterLayout) throws {
    self.layout = layout
    writer = try SafetensorsWriter(
      path: path, slots: layout.slots + layout.savable.map(slot),
      metadata: ["format": "pt"])
  }

  /// Writes the factors of one module of the layout.
  public mutating func write(_ factors: LoRAFactors, module index: Int) throws {
    try write(a: factors.a, b: factors.b, rank: factors.rank, module: index)
  }

  /// Writes A, rank × in, and B, out × rank, of one module as they are stored.
  ///
  /// Of a fused parameter it is all experts, under the number of the first module that belongs to it.
  public mutating func write(a: [UInt8], b: [UInt8], rank: Int, module index: Int) throws {
    let module = layout.place(index)
    try writer.write(a, to: module.nameOfA, shape: [rank, module.inputCount])
    try writer.write(b, to: module.nameOfB, shape: [module.outputCount, rank])
  }

  /// Leaves a module of the layout out: its difference is zero.
  public mutating func omit(module index: Int) throws {
    let module = layout.place(index)
    try writer.omit(module.nameOfA)
    try writer.omit(module.nameOfB)
    if layout.writesBias { try writer.omit(module.nameOfBias) }
  }

  /// Writes the change of bias of one written module, as many values as it has outputs.
  public mutating func writeBias(_ bytes: [UInt8], module index: Int) throws {
    let module = layout.place(index)
    try writer.write(bytes, to: module.nameOfBias, shape: [module.outputCount])
  }

  /// Writes a tensor of the layout that is stored whole, or leaves it out.
  public mutating func writeSavable(_ bytes: [UInt8]?, at index: Int) throws {
    let tensor = layout.savable[index]
    if let bytes {
      try writer.write(bytes, to: tensor.nameInFile, shape: tensor.location.shape)
    } else {
      try writer.omit(tensor.nameInFile)
    }
  }

  /// Makes the file whole and durable under its name.
  public consuming func finish() throws { try writer.finish() }
}

extension AdapterLayout.Module {
  // An embedding's factors are parameters, not modules, so their names end without ".weight".
  package var nameOfA: String { prefix + (role == .embedding ? "lora_embedding_A" : "lora_A.weight") }
  package var nameOfB: String { prefix + (role == .embedding ? "lora_embedding_B" : "lora_B.weight") }
  var nameOfBias: String { prefix + "lora_B.bias" }
  private var prefix: String { "base_model.model.\(expert?.wrapper ?? path)." }
}

extension AdapterLayout.SavableTensor {
  var nameInFile: String { "base_model.model.\(modulePath).\(parameter)" }
}

extension AdapterLayout {
  /// Room for every tensor of factors, one pair a fused parameter.
  fileprivate var slots: [SafetensorsWriter.Slot] {
    var stacked: Set<String> = []
    return (0..<modules.count + companions.count).flatMap { index -> [SafetensorsWriter.Slot] in
      let module = place(index)
      if let expert = module.expert, !stacked.insert(expert.parameter).inserted { return [] }
      let rank = storedRank(ofModule: index, rank: module.largestRank) * (module.expert?.count ?? 1)
      let tensors =
        [(module.nameOfA, [rank, module.inputCount]), (module.nameOfB, [module.outputCount, rank])]
        + (writesBias ? [(module.nameOfBias, [module.outputCount])] : [])
      return tensors.map {
        SafetensorsWriter.Slot(name: $0.0, elementType: factorType.elementType, largestShape: $0.1)
      }
    }
  }
}

private func slot(for tensor: AdapterLayout.SavableTensor) -> SafetensorsWriter.Slot {
  SafetensorsWriter.Slot(
    name: tensor.nameInFile, elementType: tensor.location.elementType, largestShape: tensor.location.shape)
}
