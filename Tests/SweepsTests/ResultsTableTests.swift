import Adapters
import Foundation
import Sweeps
import Testing

/// The tables, from rows as they lie in their files.
@Suite struct ResultsTableTests {
  private static let rows = """
    [{"name": "a-r8", "pair": "a", "rank": "r8", "tolerance": 0.001, "filter": "linear", "edit": "all",
      "selection": {"keep": {}, "drop": {}}, "status": "ok",
      "adapter": {"modules": 3, "parameters": 12, "bytes": 48, "energyKept": 0.5, "worstModule": "m",
        "worstEnergyKept": 0.25, "seconds": 0.5},
      "evaluation": {"command": "x", "outcome": {"status": "ok", "seconds": 2, "values":
        {"ppl": 3.25, "count": 7, "said": "yes, \\"so\\"", "rank": 5}}}},
     {"name": "a-r9", "pair": "a", "rank": "r9", "tolerance": 0.001, "filter": "linear", "edit": "b",
      "selection": {"keep": {}, "drop": {"q": "0-1", "v": "3"}}, "status": "failed", "message": "one\\ntwo"}]
    """

  private func table() throws -> ResultsTable {
    ResultsTable(try JSONDecoder().decode([ExperimentRow].self, from: Data(Self.rows.utf8)))
  }

  @Test(
    "cells with commas, quotes and line ends are quoted, and an evaluation's numbers are columns of their own"
  )
  func csv() throws {
    let lines = try table().csv.components(separatedBy: "\r\n")
    #expect(
      lines[0]
        == "name,pair,rank,tolerance,filter,edit,selection,status,modules,parameters,bytes,energy_kept,"
        + "worst_module,worst_energy_kept,seconds,evaluation_seconds,best,message,count,ppl,evaluation.rank,said"
    )
    #expect(
      lines[1]
        == "a-r8,a,8,0.001,linear,all,\"keep: {\"\"*\"\": \"\"all\"\"}\",ok,3,12,48,0.5,m,0.25,0.500,2.000,,,"
        + "7,3.25,5,\"yes, \"\"so\"\"\"")
    #expect(
      lines[2]
        == "a-r9,a,9,0.001,linear,b,\"drop: {q: \"\"0-1\"\", v: \"\"3\"\"}\",failed,,,,,,,,,,\"one\ntwo\",,,,"
    )
    #expect(lines.count == 4 && lines[3].isEmpty)
  }

  @Test("the JSON holds the same rows")
  func json() throws {
    let rows = try JSONDecoder().decode([ExperimentRow].self, from: try table().json())
    #expect(rows.map(\.name) == ["a-r8", "a-r9"])
    #expect(rows[0].evaluation?.outcome.number("ppl") == 3.25)
    #expect(rows[1].selection.kept(of: "x.q", count: 4) == [2, 3])
  }
}
