internal import Foundation
internal import WeightSources

/// The `README.md` of an adapter: what it was made from, how, and how good it is.
///
/// It holds nothing that differs between two runs of the same extraction: no time, no host, no rank.
public struct ModelCard: Sendable {
  /// The base model as the adapter's configuration names it.
  public var baseModel: String
  /// The fine-tuned model as it was given.
  public var tunedModel: String
  /// Options as they were resolved, in the order to show them.
  public var options: [(name: String, value: String)]
  /// The decomposed modules, in the order to show them.
  public var modules: [ModuleRecord]
  /// What was not decomposed.
  public var leftOut: [LeftOutRecord]
  /// Tensors stored beside the factors, by name.
  public var stored: [String]
  /// Sentences on tensors that only one model has, tied heads and the like.
  public var notes: [String]

  /// A card of given contents.
  public init(
    baseModel: String, tunedModel: String, options: [(name: String, value: String)], modules: [ModuleRecord],
    leftOut: [LeftOutRecord], stored: [String], notes: [String]
  ) {
    self.baseModel = baseModel
    self.tunedModel = tunedModel
    self.options = options
    self.modules = modules
    self.leftOut = leftOut
    self.stored = stored
    self.notes = notes
  }

  /// The card as Markdown with the front matter that model hubs read.
  public var markdown: String {
    [
      Markdown.frontMatter(baseModel: baseModel), introduction, kindTable, optionTable, moduleTable,
      leftOutTable,
      Markdown.notes(notes),
    ].compactMap { $0 }.joined(separator: "\n\n") + "\n"
  }

  private var introduction: String {
    let kept = modules.filter { $0.rank > 0 }
    let energy = modules.reduce(0) { $0 + $1.energy }
    let left = modules.reduce(0) { $0 + $1.writtenResidual * $1.writtenResidual }
    return """
      # LoRA adapter extracted from `\(tunedModel)`

      The difference between the fine-tuned model and its base, decomposed module by module and cut to low rank.
      \(kept.count) of \(modules.count) modules have factors; together they keep \
      \(Markdown.percent(energy > 0 ? 1 - left / energy : 1)) of the energy ‖Δ‖² of these modules. Errors are those of
      the factors as written, rounding included.

      \(Markdown.loading)
      """
  }

  private var kindTable: String {
    let kinds = Dictionary(grouping: modules) { $0.module.split(separator: ".").last.map(String.init) ?? "" }
    let rows = kinds.keys.sorted().map { kind -> [String] in
      let group = kinds[kind] ?? []
      let energy = group.reduce(0) { $0 + $1.energy }
      let left = group.reduce(0) { $0 + $1.writtenResidual * $1.writtenResidual }
      let worst = group.map(\.estimatedLoss).max() ?? 0
      return [
        "`\(kind)`", "\(group.count)", rankRange(group.map(\.rank)),
        Markdown.percent(energy > 0 ? 1 - left / energy : 1), Markdown.scientific(worst),
      ]
    }
    return "## By kind of module\n\n"
      + Markdown.table(
        ["module", "count", "rank", "energy kept", "largest loss against the best rank"], rows)
  }

  private var optionTable: String {
    "## Options\n\n"
      + Markdown.table(["option", "value"], options.map { ["`\($0.name)`", "`\($0.value)`"] })
  }

  private var moduleTable: String {
    let rows = modules.map { record in
      [
        "`\(record.module)`", record.shape.map(String.init).joined(separator: " × "), "\(record.rank)",
        Markdown.scientific(record.norm), Markdown.percent(record.energyKept),
        Markdown.scientific(record.norm > 0 ? record.writtenResidual / record.norm : 0),
        Markdown.scientific(record.estimatedLoss),
      ]
    }
    return "## Every module\n\n"
      + Markdown.table(
        ["module", "shape", "rank", "‖Δ‖", "energy kept", "‖Δ − BA‖ / ‖Δ‖", "estimated loss"], rows)
  }

  private var leftOutTable: String? {
    let changed = leftOut.filter { $0.difference.map { !$0.isZero } ?? true }
    guard !changed.isEmpty else { return nil }
    let rows = changed.map { record in
      [
        "`\(record.tensor)`", record.shape.map(String.init).joined(separator: " × "), record.reason.rawValue,
        record.difference.map { Markdown.scientific($0.norm) } ?? "not measured",
        record.difference.map { Markdown.scientific($0.relativeNorm) } ?? "not measured",
        stored.contains(record.tensor) ? "yes" : "no",
      ]
    }
    return "## Changed, but not decomposed\n\n"
      + Markdown.table(["tensor", "shape", "why", "‖Δ‖", "‖Δ‖ / ‖W‖", "stored whole"], rows)
  }
}

private func rankRange(_ ranks: [Int]) -> String {
  guard let least = ranks.min(), let most = ranks.max() else { return "" }
  return least == most ? "\(most)" : "\(least)–\(most)"
}
