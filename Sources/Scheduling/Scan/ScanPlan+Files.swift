public import Analysis
internal import Checkpoints
internal import Foundation

extension ScanPlan: UnitPlan {
  /// Computes a module's singular values.
  public func work(threadCount: Int) -> any UnitWork { ScanWork(self) }

  /// Makes the files of the spectra, `report.json` and, of one model, Spectrum's files.
  public func write(_ journal: Journal, into folder: OutputFolder, _ run: UnitRun) throws -> ScanOutcome {
    let contents = folder.contentsPath
    let results = try readResults(journal)
    let spectra = SpectraRecord(
      model: request.modelName, base: request.base?.path,
      modules: zip(modules, results).compactMap(record), notes: notes)
    try writeDurably(encodedJSON(spectra), to: contents + "/spectra_\(request.slug).json")
    try writeDurably(Data(spectra.table.utf8), to: contents + "/spectra_\(request.slug).csv")
    try writeSingularValues(results, to: contents + "/singular_values.safetensors")
    let result =
      try request.topPercent.map { try writeSelection(results, topPercent: $0, into: contents) }
      ?? "\(spectra.modules.count { $0.measures.norm > 0 }) of \(modules.count) modules changed"
    let report = UnitReport(request, result: result, of: self, journal, run)
    try writeDurably(encodedJSON(report), to: contents + "/report.json")
    return ScanOutcome(report: report, spectra: spectra)
  }

  /// Makes Spectrum's files; returns what came of it in a few words.
  private func writeSelection(_ results: [ScanResult?], topPercent: Int, into contents: String) throws
    -> String
  {
    let ratios = LayerRatios(
      zip(modules, results).map { module, result in
        LayerRatios.Entry(module: module.name, type: module.type, ratio: ratio(of: result))
      })
    let files = ScanFolder(path: contents, baseName: "snr_results_\(request.slug)")
    try files.writeResults(ratios)
    try files.writeSelection(of: ratios, topPercent: topPercent)
    let selected = ratios.selection(topPercent: topPercent).reduce(0) { $0 + $1.modules.count }
    return "\(selected) of \(modules.count) modules selected"
  }

  /// The result of each module; nil for one that is no matrix.
  private func readResults(_ journal: Journal) throws -> [ScanResult?] {
    var results = [ScanResult?](repeating: nil, count: modules.count)
    for (unit, number) in units.enumerated() {
      results[number] = try ScanResult(decoding: journal.result(unit))
    }
    return results
  }

  /// The published tool computes in single precision and writes what is no number as it comes; strict JSON has no
  /// infinity, and the largest number is as high in every order.
  private func ratio(of result: ScanResult?) -> Double {
    let ratio = result?.signalToNoise.ratio ?? .nan
    return request.isCompatible ? Double(Float(ratio)) : min(ratio, .greatestFiniteMagnitude)
  }

  private func record(_ module: ScanPlan.Module, _ result: ScanResult?) -> SpectraRecord.Module? {
    guard let result, let shape = module.matrixShape else { return nil }
    return SpectraRecord.Module(
      module: module.name, type: module.type, shape: shape,
      signalToNoise: request.base == nil ? result.signalToNoise : nil,
      measures: result.measures)
  }

  private func writeSingularValues(_ results: [ScanResult?], to path: String) throws {
    let slots = zip(modules, results).compactMap { module, result in
      result.map {
        SafetensorsWriter.Slot(name: module.name, elementType: .f64, largestShape: [$0.singularValues.count])
      }
    }
    var writer = try SafetensorsWriter(path: path, slots: slots, metadata: ["format": "pt"])
    for (module, result) in zip(modules, results) {
      guard let result else { continue }
      try writer.write(result.valueBytes, to: module.name, shape: [result.singularValues.count])
    }
    try writer.finish()
  }

  /// The summary of a finished scan by the same options.
  public func completedSummary(at path: String, version: String) -> String? {
    UnitReport.completed(at: path, request, inputs: inputs, version: version)?.summary
  }
}

/// What a scan gives back on rank 0.
public struct ScanOutcome: Sendable {
  /// How it went.
  public let report: UnitReport<ScanRequest>
  /// What was found.
  public let spectra: SpectraRecord
}
