import Adapters
import Foundation

/// What two collections have in common as tables for a terminal.
struct OverlapTable {
  private let report: OverlapReport
  private let limit: Int

  /// Tables of a report, with as many components at most.
  init(_ report: OverlapReport, componentLimit limit: Int) {
    self.report = report
    self.limit = limit
  }

  var text: String {
    [moduleTable, componentTable, onlyNotes, summary].compactMap { $0 }.joined(separator: "\n\n")
  }

  private var moduleTable: String {
    let rows = report.modules.map { module in
      [
        module.module, module.ranks.map(String.init).joined(separator: ", "), number(module.cosine),
        number(module.firstInSecond.outputs), number(module.firstInSecond.inputs),
        number(module.firstInSecond.both), number(module.chance[0].both), number(module.secondInFirst.both),
        leading(module.outputCosines), leading(module.inputCosines),
      ]
    }
    return TextTable.text(
      [
        "module", "ranks", "cosine", "A in B: out", "in", "both", "chance", "B in A", "cosines out",
        "cosines in",
      ], rows, textColumns: ["module", "cosines out", "cosines in"])
  }

  private var componentTable: String? {
    guard !report.components.isEmpty else { return nil }
    let total = report.modules.reduce(0) { $0 + $1.norms[0] * $1.norms[0] }
    let sorted = report.components.sorted { $0.energy > $1.energy }
    let rows = sorted.prefix(limit).map { component in
      [
        component.name, number(component.energy / total), number(component.part.outputs),
        number(component.part.inputs), number(component.part.both),
      ]
    }
    let rest = sorted.count - rows.count
    return TextTable.text(
      ["component of A", "energy", "in B: out", "in", "both"], rows, textColumns: ["component of A"])
      + (rest > 0 ? "\nand \(rest) more" : "")
  }

  private var onlyNotes: String? {
    let lines = [("A", report.onlyInFirst), ("B", report.onlyInSecond)].filter { !$0.1.isEmpty }.map {
      "only in \($0.0): \($0.1.count) \($0.1.count == 1 ? "module" : "modules"), such as \($0.1[0])"
    }
    return lines.isEmpty ? nil : lines.joined(separator: "\n")
  }

  private var summary: String {
    let (first, second) = (report.firstInSecond, report.secondInFirst)
    return """
      \(report.modules.count) modules in common; cosine of the two updates \(number(report.cosine))
      energy of A in B's subspaces: \(sides(first)); by chance \(sides(report.chance[0]))
      energy of B in A's subspaces: \(sides(second)); by chance \(sides(report.chance[1]))
      """
  }

  private func sides(_ part: SideEnergies) -> String {
    "out \(number(part.outputs)), in \(number(part.inputs)), both \(number(part.both))"
  }

  private func number(_ value: Double) -> String { String(format: "%.4f", value) }

  /// The largest three.
  private func leading(_ cosines: [Double]) -> String {
    cosines.prefix(3).map { String(format: "%.3f", $0) }.joined(separator: " ")
  }
}
