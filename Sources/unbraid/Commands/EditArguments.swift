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
    help: "Multiply values by X: [REGEX:][NUMBERS*]X; 0.5 halves all; may be repeated.")
  var scale: [String] = []

  @Option(parsing: .unconditionalSingleValue, help: "Multiply value i by (i + 1)^-X: [REGEX:][NUMBERS*]X.")
  var power: [String] = []

  @Option(parsing: .unconditionalSingleValue, help: "Multiply value i by exp(-X·i): [REGEX:][NUMBERS*]X.")
  var decay: [String] = []

  @Option(
    parsing: .unconditionalSingleValue,
    help: "Multiply each value by 1 + X·r, r at random from -1 to 1: [REGEX:][NUMBERS*]X.")
  var jitter: [String] = []

  @Option(help: "Seed of --jitter; equal seeds give equal files.")
  var seed: UInt64 = 0

  @Option(help: "Adapt these layers alone, such as 0-15; the others stay as in the base model.")
  var layers: String?

  @Option(help: "Leave these layers as in the base model, such as 32-47.")
  var dropLayers: String?

  func validate() throws { _ = try edit() }

  /// The edit that all of them make.
  func edit() throws -> SpectrumEdit {
    var edit = SpectrumEdit()
    edit.keep = try keep.map { try numbers($0, "--keep") }
    edit.drop = try drop.map { try numbers($0, "--drop") }
    edit.factors =
      try scale.map { try factor(.scale, $0) } + power.map { try factor(.power, $0) }
      + decay.map { try factor(.decay, $0) } + jitter.map { try factor(.jitter, $0) }
    edit.seed = seed
    edit.layers = try layers.map { try layerNumbers($0, "--layers") } ?? .all
    edit.droppedLayers = try dropLayers.map { try layerNumbers($0, "--drop-layers") } ?? .none
    return edit
  }

  private func numbers(_ text: String, _ option: String) throws -> SpectrumEdit.NumberRule {
    guard let rule = SpectrumEdit.NumberRule(text) else {
      throw ValidationError("\(option) is '\(text)'; give numbers such as 0-3,7 or 'q_proj:0-3,7'")
    }
    return rule
  }

  private func factor(_ kind: SpectrumEdit.FactorRule.Kind, _ text: String) throws -> SpectrumEdit.FactorRule
  {
    guard let rule = SpectrumEdit.FactorRule(kind, text) else {
      throw ValidationError(
        "--\(kind.rawValue) is '\(text)'; give a number such as 0.5, '0-3*0.5' or 'q_proj:0-3*0.5'")
    }
    return rule
  }

  private func layerNumbers(_ text: String, _ option: String) throws -> TripletNumbers {
    guard let numbers = TripletNumbers(text) else {
      throw ValidationError("\(option) is '\(text)'; give numbers such as 0-3,7")
    }
    return numbers
  }
}
