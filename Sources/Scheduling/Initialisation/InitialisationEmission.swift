internal import Adapters
internal import Checkpoints
internal import Foundation
internal import Initialisations

/// Writes the folder of an initialisation from the results of its modules, given in any order.
///
/// A residual model lies in the folder itself and its adapter in `adapter`; LoRA-XS has the adapter alone, and
/// svd-training one file.
struct InitialisationEmission: ~Copyable {
  private let plan: InitialisationPlan
  private let source: Checkpoint
  private let contents: String
  /// Where the folder will be.
  private let finalPath: String
  private var model: CheckpointWriter?
  private var factors: SafetensorsWriter
  /// What the configuration must say to all, if there are experts.
  private let rankOfExpertModules: Int?

  /// Begins the files of a folder whose contents exist and are empty.
  init(_ plan: InitialisationPlan, folder: OutputFolder) throws {
    let source = try Checkpoint.open(plan.request.modelPath)
    let contents = folder.contentsPath
    var slots = plan.modules.flatMap { factorSlots(of: $0, plan) }
    var file = SVDTraining.fileName
    var model: CheckpointWriter?
    if plan.request.method == .svdTraining {
      let replaced = Set(plan.modules.map(\.weight.name))
      slots += source.tensors.values.filter { !replaced.contains($0.name) }.map {
        SafetensorsWriter.Slot(name: $0.name, elementType: $0.elementType, largestShape: $0.shape)
      }
    } else {
      _ = try makeFolders(contents + "/adapter")
      file = "adapter/adapter_model.safetensors"
    }
    if plan.request.method.writesResidualModel { model = try CheckpointWriter(of: source, into: contents) }
    let rankOfExpertModules = try plan.adapterLayout().rankOfExpertModules
    factors = try SafetensorsWriter(path: contents + "/" + file, slots: slots, metadata: ["format": "pt"])
    self.rankOfExpertModules = rankOfExpertModules
    self.plan = plan
    self.source = source
    self.contents = contents
    finalPath = URL(fileURLWithPath: folder.path).standardizedFileURL.path
    self.model = model
  }

  /// Files one module's result.
  mutating func write(_ result: InitialisationResult, module index: Int) throws {
    let module = plan.modules[index]
    for (slot, bytes) in zip(factorSlots(of: module, plan), result.tensors) {
      try factors.write(bytes, to: slot.name, shape: slot.largestShape)
    }
    if let residual = result.tensors.last { try model?.write(residual, to: module.weight.name) }
  }

  /// Writes what is left; all files are durable when this returns.
  consuming func finish() throws {
    if plan.request.method == .svdTraining { try copyUntouched() }
    if let model = model.take() { try model.finish() }
    if plan.request.method != .svdTraining {
      try writeDurably(configuration.encoded(), to: contents + "/adapter/adapter_config.json")
    }
    if plan.request.method == .loraXS {
      try writeDurably(encodedJSON(reconstruction), to: contents + "/reconstr_config.json")
    }
    let card = InitialisationCard(plan, path: finalPath)
    try writeDurably(Data(card.markdown.utf8), to: contents + "/README.md")
    try factors.finish()
  }

  private mutating func copyUntouched() throws {
    let replaced = Set(plan.modules.map(\.weight.name))
    for name in source.sortedNames where !replaced.contains(name) {
      guard let tensor = source.tensors[name] else { continue }
      try factors.write(tensor.bytes(), to: name, shape: tensor.shape)
    }
  }

  private var configuration: PEFTConfiguration {
    let ranks = plan.modules.map { ($0.layout.path, $0.rank) }
    let original = URL(fileURLWithPath: plan.request.modelPath).standardizedFileURL.path
    return PEFTConfiguration(
      baseModel: plan.request.method.writesResidualModel ? finalPath : original, taskType: plan.taskType,
      rank: rankOfExpertModules, ranks: Dictionary(uniqueKeysWithValues: ranks),
      targets: TargetModules(adapted: ranks.map(\.0), all: plan.allModulePaths), fanInFanOut: plan.usesConv1D)
  }

  /// What LoRA-XS's code reads from the folder above the adapter.
  private var reconstruction: LatentReconstruction {
    LatentReconstruction(rank: plan.modules.map(\.rank).max() ?? 0)
  }
}

/// The tensors of one module in the factors' file, in the order of a result's tensors.
private func factorSlots(of module: InitialisationPlan.Module, _ plan: InitialisationPlan)
  -> [SafetensorsWriter.Slot]
{
  let type = plan.factorType.elementType
  let (out, `in`, rank) = (module.layout.outputCount, module.layout.inputCount, module.rank)
  func slot(_ name: String, _ shape: [Int]) -> SafetensorsWriter.Slot {
    SafetensorsWriter.Slot(name: name, elementType: type, largestShape: shape)
  }
  guard plan.request.method == .svdTraining else {
    let factors = [slot(module.layout.nameOfA, [rank, `in`]), slot(module.layout.nameOfB, [out, rank])]
    guard plan.request.method == .loraXS else { return factors }
    return factors + [slot(LatentMapping.tensorName(ofModule: module.layout.path), [rank, rank])]
  }
  let names = SVDTraining.tensorNames(ofModule: module.name)
  let weight = SafetensorsWriter.Slot(
    name: names.weight, elementType: module.weight.elementType, largestShape: module.weight.shape)
  return [slot(names.u, [out, rank]), slot(names.sigma, [rank]), slot(names.v, [`in`, rank]), weight]
}

/// `reconstr_config.json` under the names of LoRA-XS.
private struct LatentReconstruction: Encodable {
  let rank: Int

  func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: TextKey.self)
    try fields.encode("svd", forKey: "reconstruction_type")
    try fields.encode("separated", forKey: "reconstr_mode")
    try fields.encode(false, forKey: "half_init_dec")
    try fields.encode(false, forKey: "replacement_module_random_init")
    try fields.encode(true, forKey: "r_squared")
    try fields.encode(["n_iter": 10, "random_state": 42, "rank": rank], forKey: "svd")
  }

  private struct TextKey: CodingKey, ExpressibleByStringLiteral {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringLiteral value: String) { stringValue = value }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}
