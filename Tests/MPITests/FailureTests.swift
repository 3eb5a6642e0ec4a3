import TestSupport
import Testing

extension MPISuite {
  @Suite struct FailureTests {
    @Test(
      "a rank that fails ends the others within 10 s, with its code and one sentence",
      arguments: ["fail-beside-collective", "fail-beside-receive", "fail-with-pending-send"], [2, 3, 4])
    func failureEndsJob(name: String, ranks: Int) throws {
      let clock = ContinuousClock()
      let start = clock.now
      let result = try MPIProgram(name).run(ranks: ranks)
      #expect(clock.now - start < .seconds(10))
      #expect(result.status == 65)
      #expect(result.output.isEmpty)
      let sentences = result.errorOutput.split(separator: "\n").filter { $0.contains("program: ") }
      #expect(sentences == ["program: rank \(ranks - 1): layer 'h.3' has 2 rows, expected 3"])
    }

    @Test(
      "errors read as sentences that name the call, the communicator and its size",
      arguments: [
        (
          "truncated-receive",
          "MPI_Recv failed: MPI_ERR_TRUNCATE: message truncated (communicator 'world', 2 ranks)"
        ),
        ("unknown-rank", "MPI_Isend failed: MPI_ERR_RANK: invalid rank (communicator 'world', 2 ranks)"),
        (
          "large-tag",
          "MPI_Isend failed: tag 40000 is outside MPI's guaranteed range 0...32767 "
            + "(communicator 'world', 2 ranks)"
        ),
      ])
    func sentences(name: String, sentence: String) throws {
      let result = try MPIProgram(name).run(ranks: 2)
      #expect(result.status == 65)
      #expect(result.errorOutput.contains("program: rank 0: \(sentence)\n"), "\(result.errorOutput)")
    }
  }
}
