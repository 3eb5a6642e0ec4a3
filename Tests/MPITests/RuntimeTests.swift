import TestSupport
import Testing

extension MPISuite {
  @Suite struct RuntimeTests {
    @Test("launcher and world agree on the ranks")
    func describe() throws {
      let result = try MPIProgram("describe").run(ranks: 3)
      #expect(result.status == 0, "\(result.errorOutput)")
      let expected = (0..<3).map { "rank \($0) of 3, communicator 'world'" }
      #expect(result.outputLines.filter { $0 != "ok" }.sorted() == expected)
    }

    @Test("a program alone is a job of one rank, without mpirun in PATH")
    func singleton() throws {
      let result = try MPIProgram("describe").runAlone(environment: ["PATH": "/nowhere"])
      #expect(result.status == 0)
      #expect(result.outputLines == ["rank 0 of 1, communicator 'world'", "ok"])
      #expect(result.errorOutput.isEmpty)
    }

    @Test(
      "a program alone passes the cases of one rank",
      arguments: ["broadcast", "all-gather", "all-reduce", "split-by-node", "many-messages", "message-order"])
    func singletonCases(name: String) throws {
      let result = try MPIProgram(name).runAlone()
      #expect(result.status == 0, "\(result.errorOutput)")
      #expect(result.outputLines == ["ok"])
    }

    @Test(
      "a program alone that fails prints its sentence and nothing else",
      arguments: ["fail-beside-collective", "fail-with-pending-send"])
    func singletonFailure(name: String) throws {
      let result = try MPIProgram(name).runAlone()
      #expect(result.status == 65)
      #expect(result.output.isEmpty)
      #expect(result.errorOutput == "program: rank 0: layer 'h.3' has 2 rows, expected 3\n")
    }

    @Test("a send that was dropped early is not success")
    func droppedSend() throws {
      let result = try MPIProgram("dropped-send").runAlone()
      #expect(result.status > 128)
      #expect(result.outputLines.isEmpty)
      #expect(result.errorOutput.contains("1 pending sends were dropped before they were done"))
    }
  }
}
