package import Adapters
internal import Checkpoints
internal import Foundation
package import LinearAlgebra
internal import WeightSources

/// What an adapter's files say besides its factors.
package struct AdapterDescription: Sendable {
  /// Modules, stored tensors and types.
  package let layout: AdapterLayout
  /// What the adapter calls its base model.
  package let baseName: String
  /// What the model is used for, as PEFT calls it.
  package let taskType: String?
  /// The paths of all modules that own a tensor, as PEFT sees them.
  package let allModulePaths: [String]
  /// Whether linear layers are stored transposed.
  package let usesConv1D: Bool
  /// alpha of every module; nil for each module's rank.
  package let alpha: Double?

  /// A description of given parts.
  package init(
    layout: AdapterLayout, baseName: String, taskType: String?, allModulePaths: [String], usesConv1D: Bool,
    alpha: Double? = nil
  ) {
    self.layout = layout
    self.baseName = baseName
    self.taskType = taskType
    self.allModulePaths = allModulePaths
    self.usesConv1D = usesConv1D
    self.alpha = alpha
  }
}

/// An adapter's files while they are written: factors in any order, then all the rest.
package struct AdapterFiles: ~Copyable {
  private let description: AdapterDescription
  private let folder: String
  private var file: PEFTAdapterFile
  private var ranks: [Int: Int] = [:]

  /// Begins the files of a folder that exists and holds nothing.
  ///
  /// - Throws: `CheckpointError.system` if the device refuses.
  package init(_ description: AdapterDescription, folder: String) throws {
    self.description = description
    self.folder = folder
    file = try PEFTAdapterFile(path: folder + "/adapter_model.safetensors", layout: description.layout)
  }

  /// Writes the factors of a module of the layout, or leaves it out if there are none.
  package mutating func write(_ factors: LoRAFactors?, module index: Int) throws {
    if let factors {
      try file.write(factors, module: index)
      ranks[index] = factors.rank
    } else {
      try file.omit(module: index)
    }
  }

  /// Writes what is left, the configuration and the card; all files are durable when this returns.
  ///
  /// - Parameters:
  ///   - biasChange: The change of a module's bias; nil if it has none or it did not change.
  ///   - savedBytes: What a tensor of the layout holds that may be stored whole; nil to leave it out.
  ///   - card: The card for the stored tensors' names.
  /// - Throws: What the closures throw or the device has against it.
  package consuming func finish(
    biasChange: (Int) throws -> Matrix<Float>?, savedBytes: (AdapterLayout.SavableTensor) throws -> [UInt8]?,
    card: ([String]) -> ModelCard
  ) throws {
    if description.layout.writesBias { try writeBiases(biasChange) }
    var (savedModules, savedTensors): (Set<String>, [String]) = ([], [])
    for (index, tensor) in description.layout.savable.enumerated() {
      let bytes = try savedBytes(tensor)
      try file.writeSavable(bytes, at: index)
      guard bytes != nil else { continue }
      savedModules.insert(tensor.modulePath)
      savedTensors.append(tensor.location.name)
    }
    try writeDurably(configuration(saving: savedModules).encoded(), to: folder + "/adapter_config.json")
    try writeDurably(Data(card(savedTensors).markdown.utf8), to: folder + "/README.md")
    try file.finish()
  }

  private mutating func writeBiases(_ change: (Int) throws -> Matrix<Float>?) throws {
    let type = description.layout.factorType.elementType
    for index in ranks.keys.sorted() {
      // PEFT gives every adapted layer a bias once one has it: no change is a bias of zeros.
      let count = description.layout.modules[index].outputCount
      let bias = try change(index) ?? Matrix<Float>(repeating: 0, rows: 1, columns: count)
      try file.writeBias(type.encode(bias), module: index)
    }
  }

  private func configuration(saving modules: Set<String>) -> PEFTConfiguration {
    let ranks = Dictionary(
      uniqueKeysWithValues: ranks.map { (description.layout.modules[$0.key].path, $0.value) })
    return PEFTConfiguration(
      baseModel: description.baseName, taskType: description.taskType, ranks: ranks,
      alphas: description.alpha.map { alpha in ranks.mapValues { _ in alpha } },
      targets: TargetModules(adapted: ranks.keys.sorted(), all: description.allModulePaths),
      modulesToSave: modules.sorted(), hasLoRABias: description.layout.writesBias,
      fanInFanOut: description.usesConv1D)
  }
}
