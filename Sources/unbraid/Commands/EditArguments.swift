import Adapters
import ArgumentParser

/// The options that change singular values, as typed.
struct EditArguments: ParsableArguments {
  @Option(
    parsing: .unconditionalSingleValue,
    help: "Keep these values alone: [REGEX:]NUMBERS, such as 'q_proj:0-7,12-'; may be repeated.")
  var keep: [String] = []

  @Option(
    parsing: .unconditionalSingleValue, help: "Leave these values out: [REGEX:]NUMBERS; may be repeated.")
  var drop: [String] = []

  @Option(
    parsing: .unconditionalSingleValue,
    help: "Multiply values by X: [REGEX:][NUMBERS=]X; 0.5 halves all; may be repeated.")
  var scale: [String] = []

  @Option(parsing: .unconditionalSingleValue, help: "Multiply value i by (i + 1)^-X: [REGEX:][NUMBERS=]X.")
  var power: [String] = []

  @Option(parsing: .unconditionalSingleValue, help: "Multiply value i by exp(-X·i): [REGEX:][NUMBERS=]X.")
  var decay: [String] = []

  @Option(
    parsing: .unconditionalSingleValue,
    help: "Multiply each value by 1 + X·r, r at random from -1 to 1: [REGEX:][NUMBERS=]X.")
  var jitter: [String] = []

  @Option(help: "Seed of --jitter (default: 0); equal seeds give equal files.")
  var seed: UInt64?

  @Option(
    help: "Adapt these layers alone, such as 0-15; the others stay as in the base model, with their norms.")
  var layers: String?

  @Option(help: "Leave these layers as in the base model, such as 32-47, with their norms.")
  var dropLayers: String?

  func validate() throws {
    if seed != nil && jitter.isEmpty { throw ValidationError("--seed is for --jitter; leave it out") }
    for (name, text) in [("--layers", layers), ("--drop-layers", dropLayers)] {
      guard let text else { continue }
      if TripletNumbers(text) == nil {
        throw ValidationError("\(name) is '\(text)'; give numbers such as 0-3,7")
      }
    }
  }

  /// Which of those were given that only singular values have a use for.
  var givenForValues: [String] {
    namesGiven([
      ("--power", !power.isEmpty), ("--decay", !decay.isEmpty), ("--jitter", !jitter.isEmpty),
      ("--drop-layers", dropLayers != nil),
    ])
  }

  /// The edit that all of them make.
  func edit() throws -> SpectrumEdit {
    var edit = SpectrumEdit()
    edit.keep = try keep.map { try SpectrumEdit.NumberRule($0, option: "--keep") }
    edit.drop = try drop.map { try SpectrumEdit.NumberRule($0, option: "--drop") }
    let factors: [(SpectrumEdit.FactorRule.Kind, [String])] = [
      (.scale, scale), (.power, power), (.decay, decay), (.jitter, jitter),
    ]
    edit.factors = try factors.flatMap { kind, texts in
      try texts.map { try SpectrumEdit.FactorRule(kind, $0) }
    }
    edit.seed = seed ?? 0
    edit.layers = layers.flatMap { TripletNumbers($0) } ?? .all
    edit.droppedLayers = dropLayers.flatMap { TripletNumbers($0) } ?? .none
    return edit
  }
}
