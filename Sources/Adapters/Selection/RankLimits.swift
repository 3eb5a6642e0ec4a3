/// How many of a module's leading singular values an adapter takes: each rule that is given limits, the smallest wins.
public struct RankLimits: Sendable, Codable, Equatable {
  /// This many.
  public var rank: Int?
  /// This fraction of the shorter side, rounded, at least 1.
  public var fraction: Double?
  /// The smallest k with Σ_{i≤k} σᵢ² ≥ p·‖Δ‖² (PEFT's `convert_to_lora` with a float).
  public var energy: Double?
  /// The smallest k with √(Σ_{i≤k} σᵢ²) ≥ p·‖Δ‖ (sd-scripts' `sv_fro`).
  public var frobenius: Double?
  /// Those with σᵢ > σ₁/p (sd-scripts' `sv_ratio`; LyCORIS' `ratio` is 1/p).
  public var ratio: Double?
  /// The smallest k with Σ_{i≤k} σᵢ ≥ p·Σσ (sd-scripts' `sv_cumulative`).
  public var cumulative: Double?
  /// Those with σᵢ > ε (mergekit's `--sv-epsilon`, LyCORIS' `threshold`).
  public var epsilon: Double?
  /// Those above the optimal hard threshold of Gavish and Donoho for unknown noise.
  public var usesGavishDonoho = false
  /// Those above what rounding the fine-tuned weights to this type would give by itself.
  public var noiseFloor: Rounding?
  /// Whose counting the `sv_` rules follow.
  public var counting: Counting = .definition

  /// A type that weights are rounded to.
  public enum Rounding: String, Sendable, Codable, CaseIterable {
    /// Seven bits of fraction.
    case bf16
    /// Ten bits of fraction.
    case f16

    var fractionBits: Int { self == .bf16 ? 7 : 10 }
  }

  /// How published tools count.
  public enum Counting: String, Sendable, Codable, CaseIterable {
    /// As the rules are defined.
    case definition
    /// As sd-scripts' resize_lora.py did up to 48d368f: one more than each of its three rules says, and 1 if σ₁ ≤ 1e-6.
    case kohya
    /// As LyCORIS' `quantile`: of `cumulative` one fewer, those whose sum stays below p·Σσ, but 1 at least.
    case lycoris
  }

  /// No limits: all that is stored.
  public init() {}

  /// Whether there is no rule but a fixed number of triplets.
  public var isFixed: Bool {
    var others = self
    others.rank = nil
    return others == RankLimits()
  }

  /// What the rules say of a module.
  public struct Outcome: Sendable, Equatable {
    /// How many of the leading singular values to take.
    public var count: Int
    /// Whether a rule would take more than are stored.
    public var wantsMore: Bool
  }

  /// The count for a module.
  ///
  /// - Parameter spectrum: What is known of it.
  /// - Returns: 0 to as many as are stored.
  public func outcome(for spectrum: ModuleSpectrum) -> Outcome {
    let stored = spectrum.values.count
    var smallest = Outcome(count: stored, wantsMore: false)
    guard stored > 0 else { return smallest }
    let counts = counts(for: spectrum)
    guard let least = counts.min() else { return smallest }
    smallest.count = min(least, stored)
    smallest.wantsMore = least > stored && !spectrum.isComplete
    return smallest
  }

  /// What each rule says; one more than are stored where it would go beyond them.
  private func counts(for spectrum: ModuleSpectrum) -> [Int] {
    let values = spectrum.values
    var counts: [Int] = []
    if let rank { counts.append(min(rank, values.count)) }
    if let fraction {
      let side = spectrum.fullRank
      counts.append(max(1, min(side, Int((fraction * Double(side)).rounded()))))
    }
    let energies = values.map { $0 * $0 }
    if let energy { counts.append(reaching(energy, of: spectrum.energy, energies)) }
    if let frobenius {
      // The root of a share, not the square of the limit: at the threshold itself a square is rounded away from it.
      let count = reaching(frobenius, of: spectrum.energy, energies) { $0.squareRoot() }
      counts.append(published(count, spectrum))
    }
    if let ratio { counts.append(published(above(values[0] / ratio, spectrum), spectrum)) }
    if let cumulative { counts.append(cumulativeCount(cumulative, spectrum)) }
    if let epsilon { counts.append(above(epsilon, spectrum)) }
    if usesGavishDonoho { counts.append(above(HardThreshold(spectrum).value, spectrum)) }
    if let noiseFloor { counts.append(above(roundingEdge(spectrum, noiseFloor), spectrum)) }
    return counts
  }

  private func cumulativeCount(_ share: Double, _ spectrum: ModuleSpectrum) -> Int {
    let sum = spectrum.values.reduce(0, +)
    if counting == .lycoris {
      var (partial, count) = (0.0, 0)
      for value in spectrum.values {
        partial += value
        if partial < share * sum { count += 1 }
      }
      return max(1, count)
    }
    return published(reaching(share, of: sum, spectrum.values), spectrum)
  }

  /// A count by definition as the published tool would have it.
  private func published(_ count: Int, _ spectrum: ModuleSpectrum) -> Int {
    guard counting == .kohya else { return count }
    return spectrum.values[0] <= 1e-6 ? 1 : min(count + 1, max(count, spectrum.values.count))
  }
}

/// The smallest k whose first k terms reach a share of a total, or a function of it; one more than there are if all do
/// not.
private func reaching(
  _ limit: Double, of total: Double, _ terms: [Double], _ measure: (Double) -> Double = { $0 }
) -> Int {
  var sum = 0.0
  for (index, term) in terms.enumerated() {
    sum += term
    if measure(sum / total) >= limit { return index + 1 }
  }
  return terms.count + 1
}

/// How many values are above a threshold; one more than there are if all are and more may be.
private func above(_ threshold: Double, _ spectrum: ModuleSpectrum) -> Int {
  let count = spectrum.values.prefix { $0 > threshold }.count
  return count == spectrum.values.count && !spectrum.isComplete ? count + 1 : count
}

/// The largest singular value that rounding of the weights has by itself.
///
/// Errors of 2^⌊log₂|w|⌋⁻ᵖ/√12 a weight, at random: a matrix of noise of that energy, whose largest singular value is
/// s·(√m + √n) for an energy of s² an entry.
private func roundingEdge(_ spectrum: ModuleSpectrum, _ rounding: RankLimits.Rounding) -> Double {
  let (m, n) = (Double(spectrum.shape[0]), Double(spectrum.shape[1]))
  var energy = spectrum.binadeEnergy / 12
  for _ in 0..<rounding.fractionBits { energy /= 4 }
  return (energy / (m * n)).squareRoot() * (m.squareRoot() + n.squareRoot())
}
