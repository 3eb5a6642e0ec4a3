internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// Changes of singular values: which are kept, and what they are multiplied by.
///
/// A rule that names modules by a regular expression counts for those whose path it matches, one without for all. A module
/// keeps what any `keep` rule for it says (all, if there is none), less what any `drop` rule says; what is left is
/// multiplied by all factors for it. Values go by their numbers in the decomposition, 0 the largest.
public struct SpectrumEdit: Sendable, Codable, Equatable {
  /// What to keep.
  public var keep: [NumberRule] = []
  /// What to leave out.
  public var drop: [NumberRule] = []
  /// What to multiply by.
  public var factors: [FactorRule] = []
  /// Seed of jitter.
  public var seed: UInt64 = 0
  /// Layers that are adapted; modules outside the layers are not concerned.
  public var layers: TripletNumbers = .all
  /// Layers that go back to the base model.
  public var droppedLayers: TripletNumbers = .none

  /// An edit that changes nothing.
  public init() {}

  /// Numbers of some modules' singular values, typed as `[REGEX:]NUMBERS`.
  public struct NumberRule: Sendable, Codable, Equatable {
    /// A regular expression for paths of modules; nil for all.
    public let pattern: String?
    /// Which values.
    public let numbers: TripletNumbers
    /// As it was typed.
    public let text: String

    /// The rule that a text states.
    ///
    /// - Parameters:
    ///   - text: As typed.
    ///   - option: Where it was given, for errors.
    /// - Throws: `SpectrumEditError` if it states none.
    public init(_ text: String, option: String) throws(SpectrumEditError) {
      let (pattern, rest) = splitPattern(text)
      guard let numbers = TripletNumbers(rest) else {
        throw SpectrumEditError(option: option, text: text, examples: "0-3,7 or 'q_proj:0-3,7'")
      }
      self.pattern = pattern
      self.numbers = numbers
      self.text = text
    }
  }

  /// A factor of some modules' singular values, typed as `[REGEX:][NUMBERS=]X`.
  public struct FactorRule: Sendable, Codable, Equatable {
    /// A regular expression for paths of modules; nil for all.
    public let pattern: String?
    /// Which values.
    public let numbers: TripletNumbers
    /// What the amount means.
    public let kind: Kind
    /// X.
    public let amount: Double
    /// As it was typed.
    public let text: String

    /// What value number i, counted from 0, is multiplied by.
    public enum Kind: String, Sendable, Codable {
      /// X.
      case scale
      /// (i + 1)^−X.
      case power
      /// e^(−X·i).
      case decay
      /// 1 + X·r, r at random from (−1, 1), by seed, module and i.
      case jitter
    }

    /// The rule of a kind that a text states.
    ///
    /// - Parameters:
    ///   - kind: What its amount means.
    ///   - text: As typed.
    /// - Throws: `SpectrumEditError` if it states none.
    public init(_ kind: Kind, _ text: String) throws(SpectrumEditError) {
      let (pattern, rest) = splitPattern(text)
      let parts = rest.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard let numbers = parts.count == 2 ? TripletNumbers(parts[0]) : .all,
        let amount = Double(parts[parts.count - 1]), amount.isFinite
      else {
        throw SpectrumEditError(
          option: "--" + kind.rawValue, text: text, examples: "0.5, 0-3=0.5 or 'q_proj:0-3=0.5'")
      }
      self.pattern = pattern
      self.numbers = numbers
      self.kind = kind
      self.amount = amount
      self.text = text
    }

    fileprivate func factor(_ number: Int, random: CounterRandom) -> Double {
      switch kind {
      case .scale: amount
      case .power: pow(Double(number + 1), -amount)
      case .decay: exp(-amount * Double(number))
      case .jitter: 1 + amount * random.uniform(number)
      }
    }
  }

  /// Whether a module is adapted, as far as its layer goes.
  ///
  /// - Parameter module: Its path.
  /// - Returns: True for one outside the layers too.
  public func keepsLayer(of module: String) -> Bool {
    guard let layer = LayerPlace(module: module).layer else { return true }
    return layers.contains(layer) && !droppedLayers.contains(layer)
  }

  /// Whether it is one.
  public var changesNothing: Bool {
    keep.isEmpty && drop.isEmpty && factors.isEmpty && layers == .all && droppedLayers == .none
  }
}

/// What an option says that states no edit.
public struct SpectrumEditError: Error, CustomStringConvertible, Equatable, Sendable {
  let option: String
  let text: String
  let examples: String

  /// One sentence with the option, its text and what it might be.
  public var description: String { "\(option) is '\(text)'; give numbers such as \(examples)" }
}

/// An edit with its patterns parsed, for the modules it was made for.
struct ParsedEdit {
  let edit: SpectrumEdit
  private let patterns: [String: Regex<AnyRegexOutput>]

  /// Parses the patterns and sees to it that each of them says something about these modules.
  ///
  /// - Throws: `SourceError` for one that does not parse or matches no module.
  init(_ edit: SpectrumEdit, modules: [String]) throws {
    self.edit = edit
    var patterns: [String: Regex<AnyRegexOutput>] = [:]
    let rules =
      edit.keep.map { ("--keep", $0.pattern) } + edit.drop.map { ("--drop", $0.pattern) }
      + edit.factors.map { ("--" + $0.kind.rawValue, $0.pattern) }
    for case (let option, let pattern?) in rules {
      patterns[pattern] = try parsePattern(pattern, option: option, candidates: modules)
    }
    self.patterns = patterns
  }

  /// What becomes of a module's singular values: the numbers of those that are left, with their values.
  func choice(of module: String, _ values: ArraySlice<Double>) -> TripletChoice {
    guard edit.keepsLayer(of: module) else { return TripletChoice() }
    let kept = edit.keep.filter { matches($0.pattern, module) }
    let dropped = edit.drop.filter { matches($0.pattern, module) }
    let factors = edit.factors.filter { matches($0.pattern, module) }
    let random = CounterRandom(seed: edit.seed, name: "jitter of \(module)")
    var choice = TripletChoice()
    for (number, value) in values.enumerated() {
      let isKept = kept.isEmpty || kept.contains { $0.numbers.contains(number) }
      guard isKept, !dropped.contains(where: { $0.numbers.contains(number) }) else { continue }
      let wanted = factors.filter { $0.numbers.contains(number) }
        .reduce(value) { $0 * $1.factor(number, random: random) }
      if wanted != 0 { choice.append(number, wanted) }
    }
    return choice
  }

  func matches(_ pattern: String?, _ module: String) -> Bool {
    guard let pattern, let regex = patterns[pattern] else { return true }
    return module.contains(regex)
  }
}

/// The singular values of a module that an adapter gets.
public struct TripletChoice: Sendable, Equatable {
  /// Their numbers in the decomposition, ascending.
  public private(set) var numbers: [Int] = []
  /// What they are in the adapter.
  public private(set) var values: [Double] = []

  /// None.
  public init() {}

  /// Adds one with a higher number.
  public mutating func append(_ number: Int, _ value: Double) {
    numbers.append(number)
    values.append(value)
  }
}

/// A pattern of modules and what follows its last colon: a regular expression may hold others.
private func splitPattern(_ text: String) -> (pattern: String?, rest: String) {
  guard let colon = text.lastIndex(of: ":") else { return (nil, text) }
  return (String(text[..<colon]), String(text[text.index(after: colon)...]))
}

extension CounterRandom {
  /// A number of the stream, uniform in (−1, 1): exact, symmetric about zero, and never zero.
  fileprivate func uniform(_ number: Int) -> Double {
    let word = words(SIMD4(UInt32(truncatingIfNeeded: number), 0, 0, 2))[0]
    return (Double(word) + 0.5) * 0x1p-31 - 1
  }
}
