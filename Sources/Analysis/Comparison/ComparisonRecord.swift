/// `comparison.json`: what became of every module of a model in a fine-tune.
public struct ComparisonRecord: Sendable, Codable, Equatable {
  /// The base model's path.
  public let base: String
  /// The fine-tuned model's path.
  public let tuned: String
  /// Cosines below it make a direction an intruder.
  public let cosineLimit: Double
  /// One entry a module, by name.
  public let modules: [Module]

  /// One module.
  public struct Module: Sendable, Codable, Equatable {
    /// Its path in the checkpoint.
    public let module: String
    /// What follows the layer's number.
    public let type: String
    /// Rows and columns as stored.
    public let shape: [Int]
    /// The update's rank.
    public let update: UpdateRank
    /// Leading directions of the outputs; nil for a module that did not change.
    public let intruders: IntruderDimensions?

    /// An entry of given parts.
    public init(
      module: String, type: String, shape: [Int], update: UpdateRank, intruders: IntruderDimensions?
    ) {
      self.module = module
      self.type = type
      self.shape = shape
      self.update = update
      self.intruders = intruders
    }
  }

  /// A record of given parts.
  public init(base: String, tuned: String, cosineLimit: Double, modules: [Module]) {
    self.base = base
    self.tuned = tuned
    self.cosineLimit = cosineLimit
    self.modules = modules
  }

  /// The number of intruders in all modules.
  public var intruderCount: Int {
    modules.reduce(0) { $0 + ($1.intruders?.count(below: cosineLimit) ?? 0) }
  }

  /// What a person asks first: whether the fine-tune was a merged adapter, and of which rank.
  public var result: String {
    let changed = modules.filter { $0.update.verdict != .unchanged }
    let exact = changed.filter { $0.update.verdict == .exact }.map(\.update.rank)
    guard !changed.isEmpty else { return "no module changed" }
    let ranks =
      exact.isEmpty
      ? "no rank can be told"
      : "rank \(exact.min() == exact.max() ? "" : "\(exact.min() ?? 0) to ")\(exact.max() ?? 0) in \(exact.count)"
    return "\(ranks) of \(changed.count) changed modules, \(intruderCount) intruder dimensions"
  }

  /// The same as comma-separated values with a line of names.
  public var table: String {
    let names = [
      "module", "type", "rows", "columns", "verdict", "rank", "rounding_floor", "smallest_above",
      "largest_below",
      "rest_over_rounding", "intruders", "smallest_cosine",
    ]
    let lines = modules.map { entry in
      let update = entry.update
      let numbers = [
        update.floor, update.smallestAbove, update.largestBelow, update.restOverRounding,
        entry.intruders.map { Double($0.count(below: cosineLimit)) },
        entry.intruders?.directions.map(\.largestCosine).min(),
      ]
      return [
        entry.module, entry.type, "\(entry.shape[0])", "\(entry.shape[1])", update.verdict.rawValue,
        "\(update.rank)",
      ] + numbers.map { $0.map(pythonText) ?? "" }
    }
    return ([names] + lines).map { $0.joined(separator: ",") + "\n" }.joined()
  }
}
