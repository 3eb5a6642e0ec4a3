import TestSupport
import Testing

/// The cases check their numbers on every rank; here each rank must have come to its end.
@Suite(.serialized) struct DistributedSVDTests {
  @Test("all triplets are exact to single precision", arguments: [1, 2, 3, 4])
  func exact(ranks: Int) throws { try expectSuccess("exact-svd", ranks: ranks) }

  @Test("missing directions are completed", arguments: [1, 2, 3, 4])
  func deficient(ranks: Int) throws { try expectSuccess("exact-svd-deficient", ranks: ranks) }

  @Test("signs and completions are the same for any cut", arguments: [1, 2, 4])
  func anyCut(ranks: Int) throws { try expectSuccess("exact-svd-any-cut", ranks: ranks) }

  @Test("small singular values and extreme norms", arguments: [1, 2, 4])
  func graded(ranks: Int) throws { try expectSuccess("exact-svd-graded", ranks: ranks) }

  @Test("tiny matrices, fewer blocks than ranks, ranks outside the grid", arguments: [1, 2, 3, 4, 5])
  func tiny(ranks: Int) throws { try expectSuccess("exact-svd-tiny", ranks: ranks) }

  @Test("a truncated result is the head of the full one", arguments: [1, 3])
  func truncated(ranks: Int) throws { try expectSuccess("exact-svd-truncated", ranks: ranks) }

  @Test("bad parts are refused on every rank", arguments: [1, 2])
  func refusals(ranks: Int) throws { try expectSuccess("exact-svd-refusals", ranks: ranks) }

  @Test("psgesvd as a reference", arguments: [1, 2, 4, 5])
  func reference(ranks: Int) throws { try expectSuccess("reference-svd", ranks: ranks) }

  private func expectSuccess(_ name: String, ranks: Int) throws {
    let result = try MPIProgram(name).run(ranks: ranks, timeoutSeconds: 30)
    #expect(result.status == 0, "\(result.errorOutput)")
    #expect(result.outputLines == [String](repeating: "ok", count: ranks))
  }
}
