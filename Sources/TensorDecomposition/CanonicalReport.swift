internal import LinearAlgebra

extension CanonicalPolyadic {
  /// What tells whether to believe the components.
  public struct Report: Sendable {
    /// One run from one start.
    public struct Run: Sendable {
      /// Where it began.
      public let start: Start
      /// ‖X − X̂‖ / ‖X‖ after the short run.
      public let shortError: Double
      /// The same at the end; nil if it did not go on.
      public internal(set) var error: Double?
      /// Gauss-Newton steps tried.
      public internal(set) var steps = 0
      /// Whether the residual stood still before the limit.
      public internal(set) var isConverged = false
    }

    /// Two components and the product of their cosines over the modes.
    public struct Pair: Sendable, Equatable {
      /// The heavier component.
      public let first: Int
      /// The lighter one.
      public let second: Int
      /// Near −1 they cancel, near 1 they are one.
      public let congruence: Double
    }

    /// ‖X‖².
    public let squaredNorm: Double
    /// ‖X − X̂‖², summed over the differences.
    public let residual: Double
    /// In the order of the starts.
    public let runs: [Run]
    /// The factor match score between the best two runs that went on; nil for fewer than two.
    ///
    /// Below about 0.95 another start tells another story of the same tensor, and single components mean little.
    public let matchOfBestTwo: Double?
    /// CORCONDIA.
    ///
    /// 100 if the core that fits the vectors best is superdiagonal, as for a trilinear tensor of the
    /// right rank; low or negative if the rank is too large. Nil if R to the number of modes exceeds 2²⁴.
    public let coreConsistency: Double?
    /// Σλ² / ‖X‖²; far above 1 where components cancel.
    public let weightRatio: Double
    /// The pair with the largest congruence in magnitude; nil for a single component.
    public let extremePair: Pair?
    /// What was asked for and not done as asked, and what to be wary of, one sentence each.
    public let notes: [String]

    /// ‖X − X̂‖ / ‖X‖; zero for a zero tensor.
    public var relativeError: Double { squaredNorm > 0 ? (residual / squaredNorm).squareRoot() : 0 }

    /// Whether components run away from each other, so that the numbers are no decomposition of anything: Σλ² above
    /// ten times ‖X‖², or a congruence beyond 0.99.
    public var isDegenerate: Bool { degeneracyNote(weightRatio: weightRatio, pair: extremePair) != nil }

    init(
      _ model: KruskalTensor, of tensor: DenseTensor, runs: [Run], second: KruskalTensor?, notes: [String]
    ) throws {
      squaredNorm = tensor.squaredNorm
      residual = model.residual(of: tensor)
      self.runs = runs
      matchOfBestTwo = second.map { FactorMatch(model, $0).score }
      coreConsistency = try TensorDecomposition.coreConsistency(of: model, in: tensor)
      weightRatio = squaredNorm > 0 ? model.weights.reversed().reduce(0) { $0 + $1 * $1 } / squaredNorm : 0
      extremePair = squaredNorm > 0 ? model.extremePair() : nil
      let warning = degeneracyNote(weightRatio: weightRatio, pair: extremePair)
      self.notes = notes + [warning].compactMap { $0 }
    }
  }
}

/// The sentence about components that run away from each other; nil if none do.
private func degeneracyNote(weightRatio: Double, pair: CanonicalPolyadic.Report.Pair?) -> String? {
  guard let pair, weightRatio > 10 || abs(pair.congruence) > 0.99 else { return nil }
  return
    "degenerate: Σλ² is \(rounded(weightRatio)) times the energy of the tensor (limit 10), and components "
    + "\(pair.first) and \(pair.second) have congruence \(rounded(pair.congruence)) (limit ±0.99); "
    + "ask for a smaller rank or a ridge"
}

private func rounded(_ value: Double) -> String {
  abs(value) < 1e6 ? String(describing: (value * 1e4).rounded() / 1e4) : String(describing: value)
}

extension KruskalTensor {
  /// The two components whose congruence is largest in magnitude, the first of equals.
  func extremePair() -> CanonicalPolyadic.Report.Pair? {
    let congruences = congruences()
    var extreme: CanonicalPolyadic.Report.Pair?
    for second in 0..<rank {
      for first in 0..<second where weights[second] > 0 {
        guard abs(congruences[second, first]) > abs(extreme?.congruence ?? 0) || extreme == nil else {
          continue
        }
        extreme = .init(first: first, second: second, congruence: congruences[second, first])
      }
    }
    return extreme
  }
}
