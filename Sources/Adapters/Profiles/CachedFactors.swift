internal import LinearAlgebra

/// The factors of a source's updates, the last of which is kept: gate and up, or many experts, may share one.
struct CachedFactors {
  private let source: any UpdateSource
  private var last: (index: Int, factors: UpdateFactors)?

  init(_ source: any UpdateSource) { self.source = source }

  /// The factors of one update as they are stored.
  mutating func factors(at index: Int) throws -> UpdateFactors {
    if let last, last.index == index { return last.factors }
    let factors = try source.factors(at: index)
    last = (index, factors)
    return factors
  }

  /// The factors of a consumer's weight, matrix by matrix of its stack, padded and scaled; zeros where an expert has
  /// none.
  mutating func matrices(of weight: ConsumerWeight, _ scaling: UniformScaling) throws -> [UpdateFactors] {
    try (0..<(weight.expertCount ?? 1)).map { expert in
      guard let update = weight.updates[expert] else {
        return UpdateFactors(
          a: Matrix(repeating: 0, rows: scaling.rank, columns: weight.first.inputCount),
          b: Matrix(repeating: 0, rows: weight.first.outputCount, columns: scaling.rank))
      }
      return scaling.factors(of: update, in: try factors(at: update.source))
    }
  }
}
