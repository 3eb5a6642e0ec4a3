import ArgumentParser
import Foundation
import WeightSources

/// The options that choose modules, as typed.
struct SelectionArguments: ParsableArguments {
  @Option(
    help:
      "Last names of modules to take, separated by commas, such as q_proj,v_proj; all linear if not given.")
  var targets: String?

  @Option(help: "Take only modules whose path matches this regular expression; may be repeated.")
  var include: [String] = []

  @Option(help: "Leave out modules whose path matches this regular expression; may be repeated.")
  var exclude: [String] = []

  func validate() throws {
    if let targets, !targets.contains(where: { $0 != "," && $0 != " " }) {
      throw ValidationError("--targets names no module; give names such as q_proj,v_proj")
    }
  }

  /// Which of them were given.
  var given: [String] {
    namesGiven([
      ("--targets", targets != nil), ("--include", !include.isEmpty), ("--exclude", !exclude.isEmpty),
    ])
  }

  /// What they choose, without embeddings and head.
  var selection: ModuleSelection.Options {
    var selection = ModuleSelection.Options()
    selection.targets =
      targets?.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
      ?? []
    selection.include = include
    selection.exclude = exclude
    return selection
  }
}
