public import Analysis
internal import Checkpoints
internal import Foundation
public import MPI

/// A scan: from a plan to a folder, over all ranks.
public struct ScanJob {
  private let plan: ScanPlan
  private let resources: JobResources
  private let versionText: String

  /// A job of a plan, which is the same on every rank; the version goes into the report.
  public init(_ plan: ScanPlan, resources: JobResources, version: String) {
    self.plan = plan
    self.resources = resources
    versionText = version
  }

  /// Collective: computes every module's singular values and writes the folder on rank 0.
  ///
  /// What an interrupted run of the same job has finished is in the folder's journal and not done again.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - folder: Rank 0's output; nil on the others.
  ///   - notify: Called on rank 0 with sentences for a person; by a signal's thread too.
  ///   - onProgress: Called on rank 0 after each module.
  /// - Returns: On rank 0 the report and what was found; elsewhere nil.
  /// - Throws: On rank 0 the first error of any rank; the folder is then not published.
  public func run(
    on world: borrowing Communicator, into folder: OutputFolder?,
    notify: @escaping @Sendable (String) -> Void, onProgress: (UnitProgress) -> Void
  ) throws -> ScanOutcome? {
    let start = secondsNow()
    try plan.checkMemory(resources)
    let job = JournaledJob(
      work: ScanWork(plan), units: plan.jobUnits, inputs: plan.inputs,
      identity: plan.identity(version: versionText), unitName: "modules",
      headCoordinates: resources.headCoordinates)
    return try job.run(on: world, into: folder, notify: notify, onProgress: onProgress) { journal, ranks in
      guard let folder else { preconditionFailure("rank 0 has a folder") }
      return try write(journal, into: folder.contentsPath, ranks, since: start)
    }
  }

  /// Makes the folder's files from the journal.
  private func write(
    _ journal: Journal, into contents: String, _ ranks: [RankStatistics], since start: Double
  )
    throws -> ScanOutcome
  {
    let results = try readResults(journal)
    let ratios = LayerRatios(
      zip(plan.modules, results).map { module, result in
        LayerRatios.Entry(module: module.name, type: module.type, ratio: ratio(of: result))
      })
    let spectra = SpectraRecord(
      model: plan.request.modelName, modules: zip(plan.modules, results).compactMap(record), notes: plan.notes
    )
    let files = ScanFolder(path: contents, baseName: "snr_results_\(plan.request.slug)")
    try files.writeResults(ratios)
    try files.writeSelection(of: ratios, topPercent: plan.request.topPercent)
    try writeDurably(encodedJSON(spectra), to: contents + "/spectra_\(plan.request.slug).json")
    try writeDurably(Data(spectra.table.utf8), to: contents + "/spectra_\(plan.request.slug).csv")
    try writeSingularValues(results, to: contents + "/singular_values.safetensors")
    let selected = ratios.selection(topPercent: plan.request.topPercent).reduce(0) { $0 + $1.modules.count }
    let report = UnitReport(
      plan.request, version: versionText, result: "\(selected) of \(plan.modules.count) modules selected",
      inputs: plan.inputs, units: plan.jobUnits, carriedOver: journal.carriedOver, ranks: ranks,
      seconds: secondsNow() - start)
    try writeDurably(encodedJSON(report), to: contents + "/report.json")
    return ScanOutcome(report: report, spectra: spectra)
  }

  /// The result of each module; nil for one that is no matrix.
  private func readResults(_ journal: Journal) throws -> [ScanResult?] {
    var results = [ScanResult?](repeating: nil, count: plan.modules.count)
    for (unit, number) in plan.units.enumerated() {
      results[number] = try ScanResult(decoding: journal.result(unit))
    }
    return results
  }

  /// The published tool computes in single precision and writes what is no number as it comes; strict JSON has no
  /// infinity, and the largest number is as high in every order.
  private func ratio(of result: ScanResult?) -> Double {
    let ratio = result?.signalToNoise.ratio ?? .nan
    return plan.request.isCompatible ? Double(Float(ratio)) : min(ratio, .greatestFiniteMagnitude)
  }

  private func record(_ module: ScanPlan.Module, _ result: ScanResult?) -> SpectraRecord.Module? {
    guard let result, let shape = module.matrixShape else { return nil }
    return SpectraRecord.Module(
      module: module.name, type: module.type, shape: shape, signalToNoise: result.signalToNoise,
      measures: result.measures)
  }

  private func writeSingularValues(_ results: [ScanResult?], to path: String) throws {
    let slots = zip(plan.modules, results).compactMap { module, result in
      result.map {
        SafetensorsWriter.Slot(name: module.name, elementType: .f64, largestShape: [$0.singularValues.count])
      }
    }
    var writer = try SafetensorsWriter(path: path, slots: slots, metadata: ["format": "pt"])
    for (module, result) in zip(plan.modules, results) {
      guard let result else { continue }
      try writer.write(result.valueBytes, to: module.name, shape: [result.singularValues.count])
    }
    try writer.finish()
  }
}

/// What a scan gives back on rank 0.
public struct ScanOutcome: Sendable {
  /// How it went.
  public let report: UnitReport<ScanRequest>
  /// What was found.
  public let spectra: SpectraRecord
}
