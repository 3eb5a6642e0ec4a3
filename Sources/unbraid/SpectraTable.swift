import Analysis
import Foundation

/// The spectra of a model, or of a difference, as a table for a terminal: a line a type of module, medians over its
/// modules that are not zero.
struct SpectraTable {
  private let spectra: SpectraRecord

  init(_ spectra: SpectraRecord) { self.spectra = spectra }

  var text: String {
    let types = Dictionary(grouping: spectra.modules, by: \.type).sorted { isTypeBefore($0.key, $1.key) }
    let isDifference = spectra.base != nil
    let rows = types.map { type, modules in
      let scanned = isDifference ? modules.filter { $0.measures.norm > 0 } : modules
      let measures = scanned.map(\.measures)
      let count = isDifference ? "\(scanned.count) of \(modules.count)" : "\(modules.count)"
      return [type, count] + (isDifference ? [] : [number(scanned.map { $0.spectrumRatio ?? .infinity })]) + [
        number(measures.map { Double($0.aboveEdge) }), number(measures.map { 100 * $0.energyAboveEdge }),
        number(measures.map(\.stableRank)), number(measures.map(\.entropyRank)),
        number(measures.compactMap { $0.powerLaw?.alpha }),
        number(measures.map { $0.conditionNumber ?? .infinity }),
      ]
    }
    let header =
      ["type"] + (isDifference ? ["changed"] : ["modules", "Spectrum"]) + [
        "σ above noise", "% of energy", "stable rank", "entropy rank", "alpha", "condition",
      ]
    return TextTable.text(header, rows, textColumns: ["type"])
  }

  private func number(_ values: [Double]) -> String {
    guard !values.isEmpty else { return "" }
    return String(format: "%.4g", values.sorted()[values.count / 2])
  }
}
