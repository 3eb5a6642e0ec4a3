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
    notify: @escaping @Sendable (String) -> Void, onProgress: (ScanProgress) -> Void
  ) throws -> ScanOutcome? {
    let start = secondsNow()
    try plan.checkMemory(resources)
    try plan.inputs.checkOnAllHosts(world, notify: notify)
    guard world.rank == 0, let folder else {
      _ = try runUnits(on: world, finished: sharedUnits(nil, on: world)) { _, _ in }
      return nil
    }
    let output = try JournaledOutput(
      folder, identity: plan.identity(version: versionText), unitCount: plan.units.count, unitName: "modules",
      notify: notify)
    return try output.publish { journal in
      let finished = try sharedUnits(journal.carriedOver, on: world)
      var progress = ScanProgress(plan, finished: finished)
      let ranks = try runUnits(on: world, finished: finished, canCollect: { !journal.isFull }) {
        unit, bytes in
        try journal.append(unit, bytes)
        try folder.checkLock()
        progress.finish(unit: unit, of: plan)
        onProgress(progress)
      }
      try journal.flush()
      try plan.inputs.checkUnchanged()
      return try write(journal, into: folder, ranks, since: start)
    }
  }

  /// Collective: what rank 0 knows to be finished, on every rank.
  private func sharedUnits(_ units: Set<Int>?, on world: borrowing Communicator) throws -> Set<Int> {
    let bytes = try units.map { Array(try JSONEncoder().encode($0.sorted())) } ?? []
    return Set(try JSONDecoder().decode([Int].self, from: Data(try world.broadcast(bytes, root: 0))))
  }

  private func runUnits(
    on world: borrowing Communicator, finished: Set<Int>, canCollect: () -> Bool = { true },
    collect: (Int, [UInt8]) throws -> Void
  ) throws -> [RankStatistics] {
    let units = plan.units.map { number in
      let weight = plan.modules[number].weight
      return JobUnit(
        cost: plan.modules[number].operations, path: weight.filePath, offset: weight.offset,
        byteCount: weight.byteCount)
    }
    let job = DistributedJob(
      ScanWork(plan), units: units, finished: finished, headCoordinates: resources.headCoordinates)
    return try job.run(on: world, canCollect: canCollect, collect: collect)
  }

  /// Makes the folder's files from the journal.
  private func write(
    _ journal: Journal, into folder: OutputFolder, _ ranks: [RankStatistics], since start: Double
  ) throws -> ScanOutcome {
    try folder.clearContents()
    let results = try readResults(journal)
    let ratios = LayerRatios(
      zip(plan.modules, results).map { module, result in
        LayerRatios.Entry(module: module.name, type: module.type, ratio: ratio(of: result))
      })
    let spectra = SpectraRecord(
      model: plan.request.modelName, modules: zip(plan.modules, results).compactMap(record), notes: plan.notes
    )
    let contents = folder.contentsPath
    let files = ScanFolder(path: contents, baseName: "snr_results_\(plan.request.slug)")
    try files.writeResults(ratios)
    try files.writeSelection(of: ratios, topPercent: plan.request.topPercent)
    try writeDurably(encodedJSON(spectra), to: contents + "/spectra_\(plan.request.slug).json")
    try writeDurably(Data(spectra.table.utf8), to: contents + "/spectra_\(plan.request.slug).csv")
    try writeSingularValues(results, to: contents + "/singular_values.safetensors")
    let selected = ratios.selection(topPercent: plan.request.topPercent).reduce(0) { $0 + $1.modules.count }
    let report = ScanReport(
      plan, version: versionText, selectedCount: selected, carriedOver: journal.carriedOver, ranks: ranks,
      seconds: secondsNow() - start)
    try writeDurably(encodedJSON(report), to: contents + "/report.json")
    return ScanOutcome(report: report, spectra: spectra)
  }

  /// The result of each module; nil for one that is no matrix.
  private func readResults(_ journal: Journal) throws -> [ScanResult?] {
    var results = [ScanResult?](repeating: nil, count: plan.modules.count)
    for (unit, number) in plan.units.enumerated() {
      guard let bytes = try journal.read(unit) else {
        preconditionFailure("every module is finished when the folder is written")
      }
      results[number] = try ScanResult(decoding: bytes)
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
  public let report: ScanReport
  /// What was found.
  public let spectra: SpectraRecord
}

/// How far a scan has come.
public struct ScanProgress: Sendable {
  /// Modules finished.
  public private(set) var finishedCount = 0
  /// All modules.
  public let moduleCount: Int
  /// Bytes of the finished modules.
  public private(set) var bytesDone = 0
  /// The finished share of all operations, from 0 to 1.
  public private(set) var share = 0.0
  private let operations: Double

  init(_ plan: ScanPlan, finished: Set<Int>) {
    moduleCount = plan.units.count
    operations = plan.units.reduce(0) { $0 + plan.modules[$1].operations }
    for unit in finished { finish(unit: unit, of: plan) }
  }

  mutating func finish(unit: Int, of plan: ScanPlan) {
    let module = plan.modules[plan.units[unit]]
    finishedCount += 1
    bytesDone += module.weight.byteCount
    share += module.operations / operations
  }
}
