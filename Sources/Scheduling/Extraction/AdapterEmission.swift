package import Adapters
internal import Checkpoints
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// Writes an adapter's folder from the results of a plan's units, given in any order.
package struct AdapterEmission: ~Copyable {
  private let plan: ExtractionPlan
  private let folder: String
  private var writer: PEFTAdapterWriter
  private var records: [Int: ModuleRecord] = [:]
  private var measures: [Int: DifferenceMeasure] = [:]
  /// Modules without factors whose bias changed.
  private var biasesLeftOut: [Int] = []
  private let reader = DeltaReader()

  /// Begins the files of a folder that exists and holds nothing.
  ///
  /// - Throws: `CheckpointError.system` if the device refuses.
  package init(_ plan: ExtractionPlan, folder: String) throws {
    self.plan = plan
    self.folder = folder
    writer = try PEFTAdapterWriter(
      folder: folder, layout: plan.layout,
      description: .init(
        baseModel: plan.request.baseName, taskType: plan.taskType, fanInFanOut: plan.usesConv1D,
        targets: .among(plan.allModulePaths)))
  }

  /// Files one unit's result.
  package mutating func write(_ unit: ExtractionPlan.WorkUnit, _ result: ExtractionResult) throws {
    switch (unit, result) {
    case (.decompose(let index), .decomposed(let record, let factors)):
      let bias = plan.layout.writesBias ? plan.biases[index] : nil
      if let factors {
        try writer.write(factors, bias: try bias.map { try reader.readDelta($0).takeMatrix() }, module: index)
      } else {
        try writer.omit(module: index)
        if let bias, try !reader.measure(bias).isZero { biasesLeftOut.append(index) }
      }
      records[index] = record
    case (.measure(let index), .measured(let measure)): measures[index] = measure
    default: preconditionFailure("a unit came back with another kind of result")
    }
  }

  /// Writes what is left, the configuration and the card; all files are durable when this returns.
  ///
  /// - Returns: The records of the report, in the plan's order.
  /// - Throws: `ExtractionError.identical` if no module changed, or what the device has against it.
  package consuming func finish() throws -> Records {
    let modules = plan.modules.indices.compactMap { records[$0] }
    let leftOut = plan.leftOut.indices.map { LeftOutRecord(plan.leftOut[$0], difference: measures[$0]) }
    guard modules.contains(where: { $0.rank > 0 }) else { throw plan.nothingChanged(modules, leftOut) }
    let changed = changedModules(leftOut)
    var stored: [String] = []
    for (index, tensor) in plan.layout.savable.enumerated() {
      let isChanged = changed.contains(modulePath(ofTensor: tensor.location.name))
      try writer.writeSavable(at: index, with: isChanged ? reader : nil)
      if isChanged { stored.append(tensor.location.name) }
    }
    let note = noteOnBiases(leftOut: biasesLeftOut.sorted().map { plan.modules[$0].name })
    let card = (note.map(plan.noting) ?? plan).card(modules: modules, leftOut: leftOut, stored: stored)
    try writeAdapterTexts(try writer.finish(), card, to: folder)
    return Records(modules: modules, leftOut: leftOut, notes: note.map { [$0] } ?? [])
  }

  /// What is known about each module and each tensor that was left out, and what a person should know beside that.
  package struct Records {
    package let modules: [ModuleRecord]
    package let leftOut: [LeftOutRecord]
    package var notes: [String] = []
  }
}

/// What to say of modules whose bias changed and that have no factors, beside which alone PEFT keeps it; nil for none.
func noteOnBiases(leftOut modules: [String]) -> String? {
  modules.first.map {
    "the bias of \(modules.count) \(modules.count == 1 ? "module" : "modules") (such as '\($0)') changed and is left "
      + "out: PEFT keeps a change of bias beside factors only, and the adapter has none of theirs"
  }
}

/// Writes an adapter's configuration and card.
func writeAdapterTexts(_ configuration: PEFTConfiguration, _ card: ModelCard, to folder: String) throws {
  try writeDurably(configuration.encoded(), to: folder + "/adapter_config.json")
  try writeDurably(Data(card.markdown.utf8), to: folder + "/README.md")
}

/// Checkpoint paths of modules of which some tensor changed that is not decomposed.
func changedModules(_ leftOut: [LeftOutRecord]) -> Set<String> {
  Set(leftOut.filter { $0.difference.map { !$0.isZero } ?? false }.map { modulePath(ofTensor: $0.tensor) })
}

/// Why an extraction has nothing to write.
public enum ExtractionError: Error, CustomStringConvertible, Equatable, Sendable {
  /// No module changed.
  case identical(base: String, tuned: String, moduleCount: Int, changedCount: Int)

  /// One sentence with what was compared.
  public var description: String {
    switch self {
    case .identical(let base, let tuned, let modules, let changed):
      "\(tuned): all \(modules) selected modules equal those of \(base)"
        + (changed > 0
          ? "; \(changed) \(changed == 1 ? "tensor outside the selection differs" : "tensors outside the selection differ"), see 'unbraid plan'"
          : "; the two models are identical")
    }
  }
}
