/// Why an adapter cannot be written as asked.
public enum AdapterError: Error, CustomStringConvertible, Equatable, Sendable {
  /// Rounding a factor to the chosen type gives an infinity.
  case factorOverflow(module: String, factorType: FactorType, largest: Double)
  /// Rounding a factor that came from elsewhere to the chosen type gives an infinity.
  case entryOverflow(module: String, factorType: FactorType, largest: Double)
  /// PEFT has no bias on embeddings.
  case biasOnEmbedding(module: String)
  /// PEFT has no bias in an adapter with fused experts.
  case biasOnExperts(parameter: String)
  /// A parameter beside others of its module whose order in PEFT's wrappers is not known.
  case unknownOrder(parameter: String, others: [String])

  /// Whether the command line is to blame rather than the data.
  public var isUsage: Bool {
    switch self {
    case .factorOverflow, .entryOverflow: false
    case .biasOnEmbedding, .biasOnExperts, .unknownOrder: true
    }
  }

  /// One sentence with the place, what was found and the remedy.
  public var description: String {
    switch self {
    case .factorOverflow(let module, let factorType, let largest):
      "module '\(module)': a factor of a difference with largest singular value \(largest) does not fit "
        + "\(factorType.rawValue); \(remedy(factorType))"
    case .entryOverflow(let module, let factorType, let largest):
      "module '\(module)': an entry of its factors is \(largest), beyond the range of \(factorType.rawValue); "
        + remedy(factorType)
    case .biasOnEmbedding(let module):
      "module '\(module)': PEFT knows no bias on an embedding's adapter; leave out --bias or that module"
    case .unknownOrder(let parameter, let others):
      "parameter '\(parameter)': PEFT wraps it together with \(others.map { "'\($0)'" }.joined(separator: ", ")), in an "
        + "order that is not known here; leave it out with --exclude"
    case .biasOnExperts(let parameter):
      "parameter '\(parameter)': PEFT knows no bias in an adapter of fused experts; leave out --bias, or the experts with "
        + "--exclude"
    }
  }

  /// No type reaches further than single precision.
  private func remedy(_ factorType: FactorType) -> String {
    factorType == .f32 ? "scale it by less" : "use --factor-dtype f32"
  }
}
