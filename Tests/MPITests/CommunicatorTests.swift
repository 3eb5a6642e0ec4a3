import TestSupport
import Testing

extension MPISuite {
  /// The cases check the values on every rank; here each rank must have come to its end.
  @Suite struct CommunicatorTests {
    @Test(
      "a case holds on every rank",
      arguments: ["broadcast", "all-gather", "all-reduce", "all-reduce-in-place", "split-by-node"],
      [1, 2, 3, 4])
    func collectives(name: String, ranks: Int) throws {
      try expectSuccess(MPIProgram(name).run(ranks: ranks), ranks: ranks)
    }

    @Test(
      "messages arrive whole and in order", arguments: ["message-sizes", "many-messages", "message-order"],
      [1, 2, 3, 4])
    func messages(name: String, ranks: Int) throws {
      try expectSuccess(MPIProgram(name).run(ranks: ranks), ranks: ranks)
    }

    @Test("messages arrive over TCP too", arguments: ["message-sizes", "many-messages"])
    func messagesOverTCP(name: String) throws {
      let result = try MPIProgram(name).run(ranks: 3, environment: ["OMPI_MCA_btl": "tcp,self"])
      expectSuccess(result, ranks: 3)
    }

    @Test("looking is repeatable, and small messages do not wait for their receiver")
    func look() throws {
      try expectSuccess(MPIProgram("look").run(ranks: 3), ranks: 3)
    }

    @Test("ranks of a node change shared words, each change once", arguments: [1, 2, 4])
    func sharedWords(ranks: Int) throws {
      try expectSuccess(MPIProgram("shared-words").run(ranks: ranks), ranks: ranks)
    }

    @Test("without windows there are no shared words, and no error", arguments: [1, 3])
    func noSharedWords(ranks: Int) throws {
      let result = try MPIProgram("no-shared-words").run(
        ranks: ranks, environment: ["OMPI_MCA_osc": "^sm"])
      expectSuccess(result, ranks: ranks)
    }

    private func expectSuccess(_ result: ProcessResult, ranks: Int) {
      #expect(result.status == 0, "\(result.errorOutput)")
      #expect(result.outputLines == [String](repeating: "ok", count: ranks))
      #expect(result.errorOutput.isEmpty)
    }
  }
}
