import TestSupport
import Testing

/// The cases check their numbers on every rank; here each rank must have come to its end.
@Suite(.serialized) struct StackTests {
  @Test("sums over slices have the same bits for any number of ranks", arguments: [1, 2, 3, 4, 5, 7])
  func sliceSum(ranks: Int) throws { try expectSuccess("slice-sum", ranks: ranks) }

  @Test(
    "Tucker is within 1e-3 of converged HOOI, also at the ends of single precision", arguments: [1, 3])
  func tucker(ranks: Int) throws { try expectSuccess("stack-tucker", ranks: ranks) }

  @Test("a tolerance is met with fewer vectors than there are", arguments: [1, 3])
  func tolerance(ranks: Int) throws { try expectSuccess("stack-tolerance", ranks: ranks) }

  @Test("a shared basis is the best one", arguments: [1, 2, 4])
  func shared(ranks: Int) throws { try expectSuccess("stack-shared", ranks: ranks) }

  @Test("CP finds planted components over layers and models", arguments: [1, 2])
  func cp(ranks: Int) throws { try expectSuccess("stack-cp", ranks: ranks) }

  @Test(
    "CP tells two patterns with different layer profiles apart, in one model and in two", arguments: [1, 2])
  func patterns(ranks: Int) throws { try expectSuccess("stack-patterns", ranks: ranks) }

  private func expectSuccess(_ name: String, ranks: Int) throws {
    let result = try MPIProgram(name).run(ranks: ranks, timeoutSeconds: 120)
    #expect(result.status == 0, "\(result.errorOutput)")
    #expect(result.outputLines == [String](repeating: "ok", count: ranks))
  }
}
