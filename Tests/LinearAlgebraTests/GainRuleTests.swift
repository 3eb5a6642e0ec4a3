import LinearAlgebra
import Testing

@Suite struct GainRuleTests {
  @Test("geometric gains are extrapolated to their limit, with the safety factor")
  func geometric() {
    var rule = GainRule(energy: 100, tolerance: 1e-3)
    for captured in [8.0, 9.0, 9.5, 9.75] { rule.append(captured: captured) }
    // 0.25 remains of a series of ratio one half; the safety factor is 2.
    #expect(abs(rule.remainder - 0.5) < 1e-12)
    #expect(!rule.isSatisfied)
  }

  @Test("after a collapse of the gains, the larger of the last two ratios counts")
  func collapse() {
    var rule = GainRule(energy: 100, tolerance: 1e-3)
    // Gains 2, 1.2, 0.06: the last ratio is 0.05, the one before 0.6.
    for captured in [8.0, 10, 11.2, 11.26] { rule.append(captured: captured) }
    #expect(abs(rule.remainder - 2 * 0.06 * 0.6 / 0.4) < 1e-9)
  }

  @Test("fewer than four values, or gains that grow, promise nothing")
  func unknown() {
    var rule = GainRule(energy: 10, tolerance: 1e-3)
    #expect(rule.remainder == 10 && !rule.isSatisfied)
    rule.append(captured: 4)
    rule.append(captured: 5)
    #expect(rule.remainder == 5)
    rule.append(captured: 7)
    #expect(rule.remainder == 3)
  }

  @Test("no more can remain than the matrix has")
  func bounded() {
    var rule = GainRule(energy: 10, tolerance: 1e-3)
    rule.append(captured: 9.9999)
    #expect(rule.isSatisfied)
  }
}
