import Adapters
public import ArgumentParser

/// The rules that say how many singular values an adapter takes, as typed.
struct RankArguments: ParsableArguments {
  @Option(parsing: .unconditional, help: "At most so many of each module (default: all that are stored).")
  var rank: Int?

  @Option(parsing: .unconditional, help: "At most this fraction of a module's shorter side.")
  var rankFraction: Double?

  @Option(
    parsing: .unconditional,
    help: "The fewest with this share of a module's energy, Σσ² of ‖Δ‖², such as 0.9.")
  var energy: Double?

  @Option(
    name: .customLong("sv-fro"), parsing: .unconditional,
    help: "The fewest with this share of a module's norm ‖Δ‖ (sd-scripts' sv_fro): --energy of its square.")
  var frobenius: Double?

  @Option(
    name: .customLong("sv-ratio"), parsing: .unconditional,
    help: "Those above the largest one divided by this (sd-scripts' sv_ratio).")
  var ratio: Double?

  @Option(
    name: .customLong("sv-cumulative"), parsing: .unconditional,
    help: "The fewest with this share of the sum of the singular values (sd-scripts' sv_cumulative).")
  var cumulative: Double?

  @Option(parsing: .unconditional, help: "Those above this number (mergekit's --sv-epsilon).")
  var epsilon: Double?

  @Flag(help: "Those above the optimal hard threshold for unknown noise (Gavish and Donoho 2014).")
  var gavishDonoho = false

  @Option(help: "Those above what rounding the fine-tuned weights to bf16 or f16 gives by itself.")
  var noiseFloor: RankLimits.Rounding?

  @Option(
    help: ArgumentHelp(
      "Count the sv- rules as a published tool does.",
      discussion: """
        kohya: sd-scripts up to 48d368f, one more than each rule says. lycoris: LyCORIS' quantile, one fewer than \
        --sv-cumulative says.
        """))
  var compat: RankLimits.Counting = .definition

  @Option(
    help: ArgumentHelp(
      "At most so many bytes of factors in all modules together, such as 50M (of 1024 × 1024).",
      discussion: "Spread by the energy that each singular value has for its size."))
  var budget: ByteCount?

  @Option(parsing: .unconditional, help: "At most so many numbers in the factors of all modules together.")
  var budgetParameters: Int?

  @Option(
    parsing: .unconditional,
    help: "The fewest numbers with this share of the energy of all modules together, before any edit.")
  var budgetEnergy: Double?

  func validate() throws {
    let shares: [(String, Double?)] = [
      ("--rank-fraction", rankFraction), ("--energy", energy), ("--sv-fro", frobenius),
      ("--sv-cumulative", cumulative), ("--budget-energy", budgetEnergy),
    ]
    for case (let name, let value?) in shares where !(value > 0 && value <= 1) {
      throw ValidationError("\(name) is \(value); give a number above 0 and at most 1")
    }
    if let rank, rank < 1 { throw ValidationError("--rank is \(rank); give a number of 1 or more") }
    if let ratio, !(ratio > 1 && ratio.isFinite) {
      // No value is above the largest one.
      throw ValidationError("--sv-ratio is \(ratio); give a number above 1")
    }
    if let epsilon, !(epsilon >= 0 && epsilon.isFinite) {
      throw ValidationError("--epsilon is \(epsilon); give a number of 0 or more")
    }
    if let budgetParameters, budgetParameters < 1 {
      throw ValidationError("--budget-parameters is \(budgetParameters); give a number of 1 or more")
    }
    if [budget != nil, budgetParameters != nil, budgetEnergy != nil].count(where: { $0 }) > 1 {
      throw ValidationError("--budget, --budget-parameters and --budget-energy exclude each other; give one")
    }
    if compat != .definition && frobenius == nil && ratio == nil && cumulative == nil {
      throw ValidationError(
        "--compat \(compat.rawValue) is for --sv-fro, --sv-ratio and --sv-cumulative; give one")
    }
  }

  /// Which of them were given besides --rank.
  var givenBesidesRank: [String] {
    namesGiven([
      ("--rank-fraction", rankFraction != nil), ("--energy", energy != nil), ("--sv-fro", frobenius != nil),
      ("--sv-ratio", ratio != nil), ("--sv-cumulative", cumulative != nil), ("--epsilon", epsilon != nil),
      ("--gavish-donoho", gavishDonoho), ("--noise-floor", noiseFloor != nil), ("--budget", budget != nil),
      ("--budget-parameters", budgetParameters != nil), ("--budget-energy", budgetEnergy != nil),
    ])
  }

  /// All rules, and edits of what they leave.
  func rules(with edits: EditArguments) throws -> TripletRules {
    var rules = TripletRules()
    rules.limits = limits
    rules.budget = triplets
    rules.edit = try edits.edit()
    return rules
  }

  /// The rules for each module by itself.
  private var limits: RankLimits {
    var limits = RankLimits()
    limits.rank = rank
    limits.fraction = rankFraction
    limits.energy = energy
    limits.frobenius = frobenius
    limits.ratio = ratio
    limits.cumulative = cumulative
    limits.epsilon = epsilon
    limits.usesGavishDonoho = gavishDonoho
    limits.noiseFloor = noiseFloor
    limits.counting = compat
    return limits
  }

  /// The rule for all modules together.
  private var triplets: TripletBudget? {
    budget.map { .bytes($0.count) } ?? budgetParameters.map { .parameters($0) }
      ?? budgetEnergy.map { .energy($0) }
  }
}

extension RankLimits.Rounding: ExpressibleByArgument {}
extension RankLimits.Counting: ExpressibleByArgument {}
