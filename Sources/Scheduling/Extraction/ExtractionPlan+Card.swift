internal import Adapters
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

extension ExtractionPlan {
  /// The model card of the adapter that was made from this plan.
  func card(modules: [ModuleRecord], leftOut: [LeftOutRecord], stored: [String]) -> ModelCard {
    ModelCard(
      baseModel: request.baseName, tunedModel: request.tunedPath, options: optionRows, modules: modules,
      leftOut: leftOut, stored: stored, notes: notes)
  }

  /// The options as they were resolved, named as on the command line.
  private var optionRows: [(name: String, value: String)] {
    var rows: [(name: String, value: String)] = []
    switch request.rank {
    case .number(let number): rows.append(("--rank", "\(number)"))
    case .fraction(let fraction): rows.append(("--rank-fraction", "\(fraction)"))
    }
    rows += [
      ("--tolerance", "\(request.tolerance)"), ("--method", request.method.rawValue),
      ("--seed", "\(request.seed)"), ("--factor-dtype", layout.factorType.rawValue),
    ]
    let selection = request.selection
    if !selection.targets.isEmpty { rows.append(("--targets", selection.targets.joined(separator: ","))) }
    rows += selection.include.map { ("--include", $0) } + selection.exclude.map { ("--exclude", $0) }
    let flags = [
      ("--embeddings", selection.takesEmbeddings), ("--head", selection.takesHead),
      ("--save-norms", request.savesNorms), ("--bias", request.savesBias),
      ("--mixed-dtypes", request.acceptsMixedTypes),
    ]
    return rows + flags.filter(\.1).map { ($0.0, "on") }
  }
}
