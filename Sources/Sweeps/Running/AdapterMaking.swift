internal import Adapters
internal import Foundation
internal import Scheduling
internal import WeightSources

/// One experiment's adapter while it is written from the results of its group, module by module.
///
/// The plan is that of an extraction with the experiment's own rank and filter, so that everything but the choice of
/// singular values is as `unbraid extract` would have it.
final class AdapterMaking {
  let experiment: Experiment
  private let plan: ExtractionPlan
  private let folder: OutputFolder
  private var emission: AdapterEmission?
  private let indexOfModule: [String: Int]
  private let indexOfTensor: [String: Int]
  private var figures = Figures()
  private var seconds = 0.0

  private struct Figures {
    var modules = 0
    var parameters = 0
  }

  /// Begins the adapter's files, out of sight.
  init(_ experiment: Experiment, _ plan: ExtractionPlan, path: String) throws {
    let start = Date()
    self.experiment = experiment
    let edit = experiment.edit.edit
    self.plan =
      edit == TripletEdit()
      ? plan : plan.noting("singular values were chosen by edit '\(experiment.edit.name)': \(edit.text)")
    folder = try OutputFolder(path: path)
    try folder.refuseFinishedWork()
    try folder.clearContents()
    emission = try AdapterEmission(self.plan, folder: folder.contentsPath)
    indexOfModule = Dictionary(uniqueKeysWithValues: plan.modules.enumerated().map { ($1.name, $0) })
    indexOfTensor = Dictionary(uniqueKeysWithValues: plan.leftOut.enumerated().map { ($1.pair.name, $0) })
    seconds += Date().timeIntervalSince(start)
  }

  /// Takes what this experiment wants of a module's factors at the largest rank.
  func add(module name: String, _ record: ModuleRecord, _ factors: LoRAFactors?) throws {
    guard let index = indexOfModule[name] else { return }
    let start = Date()
    let module = plan.layout.modules[index]
    let kept = experiment.edit.edit.kept(of: name, count: min(module.largestRank, record.rank))
    let chosen = factors?.selecting(kept, outputCount: module.outputCount)
    let chosenRecord = record.selecting(kept, requestedRank: module.largestRank, factors: chosen)
    try emission?.write(.decompose(module: index), .decomposed(chosenRecord, chosen))
    if !kept.isEmpty {
      figures.modules += 1
      figures.parameters += kept.count * (module.inputCount + module.outputCount)
    }
    seconds += Date().timeIntervalSince(start)
  }

  /// Takes how much a tensor changed that is left out.
  func add(leftOut tensor: String, _ result: ExtractionResult) throws {
    guard let index = indexOfTensor[tensor] else { return }
    try emission?.write(.measure(leftOut: index), result)
  }

  /// Lets the adapter appear, whole.
  ///
  /// - Parameters:
  ///   - ranks: How each rank spent the decomposition.
  ///   - version: The program's.
  /// - Returns: Its numbers; nil if nothing is left by the edit, so that there is no adapter.
  /// - Throws: What the device has against it.
  func finish(ranks: [RankStatistics], version: String) throws -> AdapterFigures? {
    let start = Date()
    guard figures.modules > 0, let emission = emission.take() else {
      emission = nil
      folder.discard()
      return nil
    }
    let records = try emission.finish()
    seconds += Date().timeIntervalSince(start)
    let report = ExtractionReport(
      plan, version: version, records: records, carriedOver: [], ranks: ranks, seconds: seconds)
    try writeDurably(report.encoded(), to: folder.contentsPath + "/report.json")
    let file = folder.contentsPath + "/adapter_model.safetensors"
    let bytes = try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int ?? 0
    try folder.publish()
    return AdapterFigures(
      modules: figures.modules, parameters: figures.parameters, bytes: bytes, energyKept: report.energyKept,
      worstModule: report.worst?.module ?? "", worstEnergyKept: report.worst?.energyKept ?? 0,
      seconds: seconds + Date().timeIntervalSince(start))
  }

  /// Gives up: nothing of it stays.
  func discard() {
    emission = nil
    folder.discard()
  }
}
