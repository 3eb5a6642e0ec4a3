internal import Checkpoints

/// The fused parameters of an adapter while the factors of their experts arrive, one by one and in any order.
///
/// Only parameters of which some experts have come and others have not are in memory: one or two, if experts come as they lie in
/// a checkpoint.
struct ExpertGathering {
  private var parameters: [String: Parameter] = [:]
  private let width: Int

  /// One parameter.
  private struct Parameter {
    /// The module of the layout under whose number the whole is stored.
    let place: Int
    let owner: String
    /// How many experts have neither come nor been left out.
    var missing = 0
    /// Nil until one has come.
    var factors: ExpertFactors?
    var isWritten = false
  }

  /// A pair of factors for all experts of a parameter.
  struct Stack {
    /// The number of the module in the layout that stands for it.
    let place: Int
    let factors: ExpertFactors
  }

  /// Nothing has come yet.
  init(_ layout: AdapterLayout) {
    width = layout.factorType.elementType.bitWidth / 8
    for (index, module) in layout.modules.enumerated() {
      guard let expert = module.expert else { continue }
      parameters[expert.parameter, default: Parameter(place: index, owner: expert.owner)].missing += 1
    }
  }

  /// Takes the factors of one expert.
  ///
  /// - Parameters:
  ///   - a: Rank × in, as stored.
  ///   - b: Out × rank, as stored.
  ///   - rank: At most the stored one.
  ///   - module: The expert's place in the layout.
  ///   - stored: The rank that all experts of its parameter are stored with.
  /// - Returns: The whole, if this was the last.
  mutating func take(a: [UInt8], b: [UInt8], rank: Int, _ module: AdapterLayout.Module, stored: Int) -> Stack?
  {
    guard let expert = module.expert, var parameter = parameters[expert.parameter] else { return nil }
    // Out of the dictionary while it changes: two owners would copy all of it.
    parameters[expert.parameter] = nil
    var factors = parameter.factors.take() ?? zeros(module, expert, rank: stored)
    factors.take(a: a, b: b, rank: rank, expert: expert.index)
    parameter.factors = factors
    return finish(parameter, expert.parameter)
  }

  /// Leaves one expert out.
  ///
  /// - Returns: The whole, if it was the last and another one has come.
  mutating func omit(_ expert: FusedExpert) -> Stack? {
    guard let parameter = parameters.removeValue(forKey: expert.parameter) else { return nil }
    return finish(parameter, expert.parameter)
  }

  private mutating func finish(_ parameter: Parameter, _ name: String) -> Stack? {
    var parameter = parameter
    parameter.missing -= 1
    let whole = parameter.missing == 0 ? parameter.factors.take() : nil
    parameter.isWritten = whole != nil
    parameters[name] = parameter
    return whole.map { Stack(place: parameter.place, factors: $0) }
  }

  /// Numbers of the modules that stand for parameters of which no expert has come.
  ///
  /// PEFT's wrappers nest around all parameters of a module that are adapted, so one beside another that is written is
  /// written too.
  func empty() -> (written: [Int], omitted: [Int]) {
    let owners = Set(parameters.values.filter(\.isWritten).map(\.owner))
    let empty = parameters.values.filter { !$0.isWritten }.sorted { $0.place < $1.place }
    return (
      empty.filter { owners.contains($0.owner) }.map(\.place),
      empty.filter { !owners.contains($0.owner) }.map(\.place)
    )
  }

  /// Zeros for all experts of a module's parameter.
  func zeros(_ module: AdapterLayout.Module, _ expert: FusedExpert, rank: Int) -> ExpertFactors {
    ExpertFactors(
      count: expert.count, rank: rank, inputCount: module.inputCount, outputCount: module.outputCount,
      width: width)
  }
}
