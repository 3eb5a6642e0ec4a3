internal import Adapters
package import Foundation

/// The rows of a sweep as a table, for a spreadsheet and for a program.
package struct ResultsTable {
  private let rows: [ExperimentRow]

  /// A table of rows in the order to show them.
  package init(_ rows: [ExperimentRow]) { self.rows = rows }

  private static let columns: [(name: String, cell: @Sendable (ExperimentRow) -> String)] = [
    ("name", { $0.name }), ("pair", { $0.pair }), ("rank", { String($0.rank.dropFirst()) }),
    ("tolerance", { "\($0.tolerance)" }), ("filter", { $0.filter }), ("edit", { $0.edit }),
    ("selection", { $0.selection.text }), ("status", { $0.status.rawValue }),
    ("modules", { $0.adapter.map { "\($0.modules)" } ?? "" }),
    ("parameters", { $0.adapter.map { "\($0.parameters)" } ?? "" }),
    ("bytes", { $0.adapter.map { "\($0.bytes)" } ?? "" }),
    ("energy_kept", { $0.adapter.map { "\($0.energyKept)" } ?? "" }),
    ("worst_module", { $0.adapter?.worstModule ?? "" }),
    ("worst_energy_kept", { $0.adapter.map { "\($0.worstEnergyKept)" } ?? "" }),
    ("seconds", { $0.adapter.map { String(format: "%.3f", $0.seconds) } ?? "" }),
    ("evaluation_seconds", { $0.evaluation.map { String(format: "%.3f", $0.outcome.seconds) } ?? "" }),
    ("best", { $0.isBest.map { $0 ? "yes" : "" } ?? "" }), ("message", { $0.message ?? "" }),
  ]

  /// Comma-separated values as RFC 4180 has them, with a header; the evaluations' numbers are the last columns.
  package var csv: String {
    let found = Set(rows.flatMap { $0.evaluation.map { Array($0.outcome.values.keys) } ?? [] }).sorted()
    let taken = Set(Self.columns.map(\.name))
    // A number of the same name as a column keeps it apart.
    let header = Self.columns.map(\.name) + found.map { taken.contains($0) ? "evaluation.\($0)" : $0 }
    let lines = rows.map { row in
      Self.columns.map { $0.cell(row) } + found.map { row.evaluation?.outcome.values[$0]?.text ?? "" }
    }
    return ([header] + lines).map { $0.map(quoted).joined(separator: ",") + "\r\n" }.joined()
  }

  /// A list of rows, without what only a program needs that carries on.
  package func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let shown = rows.map { row in
      var row = row
      row.identity = nil
      return row
    }
    return try encoder.encode(shown) + Data("\n".utf8)
  }

  private func quoted(_ cell: String) -> String {
    guard cell.contains(where: { $0 == "\"" || $0 == "," || $0.isNewline }) else { return cell }
    return "\"" + cell.replacing("\"", with: "\"\"") + "\""
  }
}

extension EvaluationOutcome.Value {
  /// As it stands in a table.
  fileprivate var text: String {
    switch self {
    case .text(let text): text
    case .number(let number):
      number == number.rounded() && abs(number) < 1e15 ? "\(Int(number))" : "\(number)"
    }
  }
}
