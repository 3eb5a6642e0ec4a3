import Adapters
import LinearAlgebra
import TestSupport
import Testing

/// Rules for the number of singular values, at their thresholds and just beside them.
@Suite struct RankLimitsTests {
  /// Σσ² = 25.
  private static let squares = [4.0, 2, 2, 1]
  /// Σσ = 8.
  private static let sums = [4.0, 2, 1, 1]

  private func spectrum(
    _ values: [Double], shape: [Int] = [4, 8], energy: Double? = nil, binadeEnergy: Double = 0
  ) -> ModuleSpectrum {
    ModuleSpectrum(
      module: "m", values: values, shape: shape, energy: energy ?? 0, isComplete: energy == nil,
      binadeEnergy: binadeEnergy)
  }

  private func count(_ values: [Double] = squares, _ change: (inout RankLimits) -> Void) -> Int {
    var limits = RankLimits()
    change(&limits)
    return limits.outcome(for: spectrum(values)).count
  }

  @Test("a share of the energy is reached by the fewest values, exactly at the threshold too")
  func energy() {
    for (share, expected) in [
      (0.64, 1), (0.64.nextUp, 2), (0.8, 2), (0.8.nextUp, 3), (0.96, 3), (0.96.nextUp, 4), (1, 4),
      (1e-9, 1),
    ] { #expect(count { $0.energy = share } == expected, "\(share)") }
  }

  @Test("sv-fro is a share of the norm: its square is one of the energy")
  func frobenius() {
    for (share, expected) in [(0.8, 1), (0.8.nextUp, 2), (0.64, 1), (0.9, 3), (1.0, 4)] {
      #expect(count { $0.frobenius = share } == expected, "\(share)")
    }
  }

  @Test("sv-ratio takes what is above the largest value divided by it")
  func ratio() {
    for (ratio, expected) in [(1.0, 0), (2, 1), (2.0.nextUp, 3), (4, 3), (4.0.nextUp, 4)] {
      #expect(count { $0.ratio = ratio } == expected, "\(ratio)")
    }
  }

  @Test("sv-cumulative is a share of the sum")
  func cumulative() {
    for (share, expected) in [
      (0.5, 1), (0.5.nextUp, 2), (0.75, 2), (0.75.nextUp, 3), (0.875, 3), (0.875.nextUp, 4), (1, 4),
    ] { #expect(count(Self.sums) { $0.cumulative = share } == expected, "\(share)") }
  }

  @Test("epsilon takes what is above it, which may be nothing")
  func epsilon() {
    for (epsilon, expected) in [(0.0, 4), (1, 3), (1.0.nextDown, 4), (2, 1), (2.0.nextDown, 3), (4, 0)] {
      #expect(count { $0.epsilon = epsilon } == expected, "\(epsilon)")
    }
  }

  @Test("the published tools count one more, or one fewer, on request")
  func countings() {
    let kohya = { (limits: inout RankLimits) in limits.counting = .kohya }
    #expect(
      count {
        kohya(&$0); $0.frobenius = 0.8
      } == 2)
    #expect(
      count {
        kohya(&$0); $0.frobenius = 1
      } == 4)
    #expect(
      count {
        kohya(&$0); $0.ratio = 2
      } == 2)
    #expect(
      count(Self.sums) {
        kohya(&$0); $0.cumulative = 0.75
      } == 3)
    #expect(
      count([1e-6, 1e-7]) {
        kohya(&$0); $0.cumulative = 1
      } == 1)
    #expect(
      count([2e-6, 1e-7]) {
        kohya(&$0); $0.cumulative = 1
      } == 2)
    // Energy and epsilon are no rules of sd-scripts.
    #expect(
      count {
        kohya(&$0); $0.energy = 0.64
      } == 1)
    for (share, expected) in [(0.5, 1), (0.75, 1), (0.75.nextUp, 2), (1, 3)] {
      #expect(
        count(Self.sums) {
          $0.counting = .lycoris; $0.cumulative = share
        } == expected, "\(share)")
    }
  }

  @Test("a fraction is of the shorter side, rounded, and 1 at least")
  func fraction() {
    let values = [Double](repeating: 1, count: 10)
    for (fraction, expected) in [(0.01, 1), (0.14, 1), (0.15, 2), (0.25, 3), (1, 10)] {
      var limits = RankLimits()
      limits.fraction = fraction
      #expect(limits.outcome(for: spectrum(values, shape: [10, 90])).count == expected, "\(fraction)")
    }
  }

  @Test("of several rules the smallest count wins, and no rule takes what is not stored")
  func several() {
    #expect(
      count {
        $0.rank = 3; $0.energy = 0.8
      } == 2)
    #expect(
      count {
        $0.rank = 1; $0.energy = 0.8; $0.epsilon = 0.5
      } == 1)
    #expect(count { $0.rank = 99 } == 4)
    #expect(count { _ in } == 4)
    var limits = RankLimits()
    limits.energy = 0.9
    // Twice as much energy as is stored: the rule would go on.
    let part = limits.outcome(for: spectrum(Self.squares, shape: [9, 9], energy: 50))
    #expect(part.count == 4 && part.wantsMore)
    limits.energy = 0.5
    let enough = limits.outcome(for: spectrum(Self.squares, shape: [9, 9], energy: 50))
    #expect(enough.count == 4 && !enough.wantsMore)
    limits.rank = 4
    limits.energy = 0.9
    #expect(!limits.outcome(for: spectrum(Self.squares, shape: [9, 9], energy: 50)).wantsMore)
  }

  @Test("rounding to bf16 hides values up to the largest that such noise has")
  func noiseFloor() {
    // Σ4^e = 12·4⁷ an entry is noise of variance 1 after rounding to seven bits: √16 + √9.
    let binades = 12 * 16384.0 * 16 * 9
    var limits = RankLimits()
    limits.noiseFloor = .bf16
    let values = [8, 7.0.nextUp, 7, 1]
    let found = limits.outcome(for: spectrum(values, shape: [16, 9], energy: 1000, binadeEnergy: binades))
    #expect(found.count == 2 && !found.wantsMore)
    limits.noiseFloor = .f16
    #expect(
      limits.outcome(for: spectrum(values, shape: [16, 9], energy: 1000, binadeEnergy: binades)).wantsMore)
  }
}
