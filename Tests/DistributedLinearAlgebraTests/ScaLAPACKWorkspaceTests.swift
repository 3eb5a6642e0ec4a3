import DistributedLinearAlgebra
import Testing

@Suite struct ScaLAPACKWorkspaceTests {
  /// What PSGESVD demands of one rank, from its source; its own query answers with less.
  @Test(
    "psgesvd gets no less than it demands",
    arguments: [(4099, 4095, 34_107_537), (5001, 4001, 36_627_233), (28672, 8192, 304_525_313)])
  func psgesvd(rowCount: Int, columnCount: Int, demanded: Int) throws {
    let workspace = try ScaLAPACKWorkspace.psgesvd(
      rowCount: rowCount, columnCount: columnCount, blockLength: 64, gridShape: (1, 1))
    #expect(workspace.count >= demanded)
    #expect(workspace.count < demanded + demanded / 10 + 20_000_000)
  }

  @Test("what 32-bit integers cannot count is refused with the numbers and a remedy")
  func refusals() {
    #expect(
      refusal { try .psgesvd(rowCount: 32768, columnCount: 32768, blockLength: 64, gridShape: (1, 1)) }
        == "psgesvd of a 32768 × 32768 matrix on 1 rank needs arrays of 2168672257 elements a rank, limit "
        + "2147483647; start more ranks or use --method exact")
    #expect(
      refusal { try .psgesvd(rowCount: 28672, columnCount: 23170, blockLength: 64, gridShape: (1, 1)) }
        == "psgesvd of a 28672 × 23170 matrix on 1 rank needs arrays of 664330240 elements a rank, limit "
        + "536870911; start more ranks or use --method exact")
    #expect(
      refusal { try .pdsyevd(order: 65536, blockLength: 64, gridShape: (1, 2)) }
        == "pdsyevd of a 65536 × 65536 matrix on 2 ranks needs arrays of 4320673793 elements a rank, limit "
        + "2147483647; start more ranks or use --method krylov")
    #expect(refusal { try .pdsyevd(order: 65536, blockLength: 64, gridShape: (3, 3)) } == nil)
  }

  @Test("sentences with one and several ranks")
  func sentences() {
    #expect(
      DistributedSVDError.ranksDisagree(routine: "psgesvd", rowCount: 8, columnCount: 5).description
        == "psgesvd found different singular values of a 8 × 5 matrix on different ranks; run on processors of "
        + "one kind or use --method exact")
    #expect(
      DistributedSVDError.notFinite(rankCount: 2).description
        == "the matrix has NaN or infinite entries on 2 ranks")
  }

  private func refusal(_ body: () throws -> ScaLAPACKWorkspace) -> String? {
    do { _ = try body() } catch { return "\(error)" }
    return nil
  }
}
