package import Adapters
internal import Checkpoints
internal import LinearAlgebra
internal import WeightSources

/// Writes an adapter's folder from the results of a plan's units, given in any order.
package struct AdapterEmission: ~Copyable {
  private let plan: ExtractionPlan
  private var files: AdapterFiles
  private var records: [Int: ModuleRecord] = [:]
  private var measures: [Int: DifferenceMeasure] = [:]

  /// Begins the files of a folder that exists and holds nothing.
  ///
  /// - Throws: `CheckpointError.system` if the device refuses.
  package init(_ plan: ExtractionPlan, folder: String) throws {
    self.plan = plan
    let description = AdapterDescription(
      layout: plan.layout, baseName: plan.request.baseName, taskType: plan.taskType,
      allModulePaths: plan.allModulePaths, usesConv1D: plan.usesConv1D)
    files = try AdapterFiles(description, folder: folder)
  }

  /// Files one unit's result.
  package mutating func write(_ unit: ExtractionPlan.WorkUnit, _ result: ExtractionResult) throws {
    switch (unit, result) {
    case (.decompose(let index), .decomposed(let record, let factors)):
      try files.write(factors, module: index)
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
    let plan = plan
    let modules = plan.modules.indices.compactMap { records[$0] }
    let leftOut = plan.leftOut.indices.map { LeftOutRecord(plan.leftOut[$0], difference: measures[$0]) }
    guard modules.contains(where: { $0.rank > 0 }) else { throw plan.nothingChanged(modules, leftOut) }
    let reader = DeltaReader()
    let changed = changedModules(leftOut)
    try files.finish(
      biasChange: { index in
        guard let pair = plan.biases[index] else { return nil }
        return try reader.readDelta(pair).takeMatrix()
      },
      savedBytes: { tensor in
        let isChanged = changed.contains(modulePath(ofTensor: tensor.location.name))
        return isChanged ? try reader.readBytes(tensor.location) : nil
      }, card: { plan.card(modules: modules, leftOut: leftOut, stored: $0) })
    return Records(modules: modules, leftOut: leftOut)
  }

  /// What is known about each module and each tensor that was left out.
  package struct Records {
    package let modules: [ModuleRecord]
    package let leftOut: [LeftOutRecord]
  }
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
