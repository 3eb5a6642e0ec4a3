import Analysis
import Foundation

/// A comparison as a table for a terminal, a line a module.
struct ComparisonTable {
  private let record: ComparisonRecord

  init(_ record: ComparisonRecord) { self.record = record }

  var text: String {
    let rows = record.modules.map { module in
      [
        module.module, rank(module.update), number(module.update.smallestAbove),
        number(module.update.largestBelow),
        number(module.update.floor), module.intruders.map { "\($0.count(below: record.cosineLimit))" } ?? "",
        number(module.intruders?.directions.map(\.largestCosine).min()),
      ]
    }
    return TextTable.text(
      ["module", "rank", "last σ", "next σ", "rounding", "intruders", "least cosine"], rows,
      textColumns: ["module"])
  }

  private func rank(_ update: UpdateRank) -> String {
    switch update.verdict {
    case .unchanged: "unchanged"
    case .exact: "\(update.rank)"
    case .atLeast: "≥ \(update.rank)"
    case .hidden: "hidden"
    }
  }

  private func number(_ value: Double?) -> String { value.map { String(format: "%.3g", $0) } ?? "" }
}
