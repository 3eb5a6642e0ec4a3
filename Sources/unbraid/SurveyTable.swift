import Adapters
import Foundation
import LinearAlgebra
import Scheduling
import WeightSources

/// A survey as tables for a terminal.
struct SurveyTable {
  private let survey: Survey

  init(_ survey: Survey) { self.survey = survey }

  var text: String {
    [moduleTable, leftOutTable, notes, totals].compactMap { $0 }.joined(separator: "\n\n")
  }

  private var moduleTable: String {
    let rows = survey.modules.map { module in
      [
        module.module, shape(module.shape), "\(module.rank)",
        module.cost.method.rawValue + (module.teamSize > 1 ? " by \(module.teamSize)" : ""),
        String(format: "%.2f", module.cost.operations / 1e9), megabytes(module.cost.byteCount),
        module.difference.map { $0.isZero ? "equal" : scientific($0.norm) } ?? "",
        module.difference.map { $0.isZero ? "" : scientific($0.relativeNorm) } ?? "",
      ]
    }
    return "To decompose: \(survey.modules.count) modules\n"
      + table(["module", "shape", "rank", "method", "GFLOP", "MB", "|Δ|", "|Δ|/|W|"], rows)
  }

  private var leftOutTable: String? {
    guard !survey.leftOut.isEmpty else { return nil }
    let equal = survey.leftOut.filter { $0.difference?.isZero ?? false }
    let rows = survey.leftOut.filter { !($0.difference?.isZero ?? false) }.map { record in
      [
        record.tensor, shape(record.shape), record.reason.rawValue,
        record.difference.map { scientific($0.norm) } ?? "",
        record.difference.map { scientific($0.relativeNorm) } ?? "",
      ]
    }
    var parts: [String] = []
    if !rows.isEmpty {
      let state = survey.leftOut.contains { $0.difference != nil } ? "changed, but left out" : "left out"
      parts.append(
        "\(rows.count) tensors \(state)\n" + table(["tensor", "shape", "why", "|Δ|", "|Δ|/|W|"], rows))
    }
    if !equal.isEmpty { parts.append("\(equal.count) tensors left out are equal in both models") }
    return parts.joined(separator: "\n\n")
  }

  private var notes: String? {
    survey.notes.isEmpty ? nil : survey.notes.map { "note: \($0)" }.joined(separator: "\n")
  }

  private var totals: String {
    let operations = survey.modules.reduce(0) { $0 + $1.cost.operations }
    let speed = String(
      format: "%.0f GFLOP/s a core, %.2f GB/s", survey.calibration.operationsPerSecond / 1e9,
      survey.calibration.bytesPerSecond / 1e9)
    return """
      \(String(format: "%.1f", operations / 1e9)) GFLOP, \(megabytes(survey.byteCount)) MB to read, \
      adapter up to \(megabytes(survey.adapterByteCount)) MB
      memory a rank: \(megabytes(survey.memoryPerRank)) MB
      expected on \(survey.rankCount) \(survey.rankCount == 1 ? "rank" : "ranks"): \
      \(String(format: "%.1f", survey.expectedSeconds)) s (measured now: \(speed))
      """
  }

  private func shape(_ shape: [Int]) -> String { shape.map(String.init).joined(separator: "×") }
  private func megabytes(_ count: Int) -> String { String(format: "%.1f", Double(count) / 1e6) }
  private func scientific(_ value: Double) -> String { String(format: "%.3e", value) }

  private func table(_ header: [String], _ rows: [[String]]) -> String {
    TextTable.text(header, rows, textColumns: ["module", "tensor", "why", "method"])
  }
}
