import Adapters
import Foundation
import LinearAlgebra
import Scheduling
import Sweeps
import TestSupport
import Testing
import WeightSources

/// A plan as a person writes it: the grid it means, and what is said of its mistakes.
@Suite struct SweepPlanTests {
  private static let least = """
    output: out
    pairs:
      - {name: kjv, base: models/base, tuned: /models/tuned}

    """

  @Test("the shortest plan has one experiment with the defaults of extract")
  func shortest() throws {
    let (plan, folder) = try plan(Self.least)
    #expect(plan.experiments.map(\.name) == ["kjv-r32"])
    #expect(plan.outputPath == folder.file("out"))
    let request = try plan.request(for: plan.experiments[0])
    #expect(request.basePath == folder.file("models/base") && request.tunedPath == "/models/tuned")
    #expect(request.baseName == request.basePath && request.rank == .number(32) && request.seed == 0)
    #expect(request.tolerance == 1e-3 && request.method == .auto && request.factorType == nil)
    #expect(plan.groups.count == 1 && plan.evaluation == nil && plan.search == nil)
  }

  @Test("the grid: pairs, tolerances, ranks, filters and edits, the last fastest, named by what is listed")
  func grid() throws {
    let (plan, _) = try plan(
      """
      output: out
      pairs:
        - {name: a, base: b, tuned: t}
        - {name: c, base: b, tuned: u, base-name: hub/base}
      ranks: [8, 0.25]
      tolerances: [1e-2, 0.001]
      filters:
        - {name: attention, targets: [q_proj, v_proj]}
        - {name: all, head: true, exclude: "layers\\\\.0\\\\."}
      edits:
        - {name: whole}
        - {name: notop, drop: {q_proj: 0-3, "*": 0}}
      seed: 7
      method: krylov
      factor-dtype: bf16
      save-norms: true
      """)
    let names = plan.experiments.map(\.name)
    #expect(names.count == 32 && Set(names).count == 32)
    #expect(
      names.prefix(5) == [
        "a-r8-t0.01-attention-whole", "a-r8-t0.01-attention-notop", "a-r8-t0.01-all-whole",
        "a-r8-t0.01-all-notop", "a-r0.25-t0.01-attention-whole",
      ])
    #expect(plan.groups.map(\.name) == ["a-t0.01", "a-t0.001", "c-t0.01", "c-t0.001"])
    #expect(plan.groups.map(\.index) == [0, 1, 2, 3] && plan.groups.allSatisfy { $0.experiments.count == 8 })
    let request = try plan.request(for: plan.experiments[31])
    #expect(request.baseName == "hub/base" && request.seed == 7 && request.method == .krylov)
    #expect(request.factorType == .bf16 && request.savesNorms && !request.savesBias)
    #expect(request.selection.takesHead && request.selection.exclude == ["layers\\.0\\."])
    #expect(plan.edits[1].edit.kept(of: "x.q_proj", count: 6) == [4, 5])
    #expect(plan.edits[1].edit.kept(of: "x.k_proj", count: 3) == [1, 2])
  }

  @Test("evaluate and search are read, with their defaults")
  func evaluateAndSearch() throws {
    let (plan, _) = try plan(
      Self.least + """
        ranks: [4, 16]
        evaluate: {command: "python3 judge.py", timeout: 90}
        search: {metric: ppl, goal: minimise, budget: 40}
        """)
    #expect(plan.evaluation?.command == "python3 judge.py" && plan.evaluation?.timeoutSeconds == 90)
    #expect(plan.evaluation?.countPerHost == 1)
    let search = try #require(plan.search)
    #expect(search.metric == "ppl" && search.goal == .minimise && search.budget == 40)
    #expect(search.pair == "kjv" && search.rank == .number(16) && search.filter == "linear")
    #expect(plan.groups.map(\.isSearched) == [true])
  }

  @Test(
    "every mistake is named with its line, its key, what stands there and the remedy",
    arguments: [
      ("", "plan.yaml: is empty; a plan needs 'pairs' and 'output'"),
      ("[1, 2]", "plan.yaml:1: is a list; give a mapping of output, pairs, ranks"),
      ("output: x\nranks: [8]\n", "a plan needs 'pairs' and 'output'; the first that is missing is 'pairs'"),
      (least + "rank: 8\n", "plan.yaml:4: 'rank' is no key of a plan; here are output, pairs, ranks"),
      (least + "ranks: []\n", "plan.yaml:4: 'ranks' is an empty list; give a list of one or more"),
      (least + "ranks: [8, many]\n", "'ranks[1]' is 'many'; give a whole number of 1 or more, or a fraction"),
      (least + "ranks: [8, 0]\n", "'ranks[1]' is '0'; give a whole number"),
      (least + "ranks: [8, 1.5]\n", "'ranks[1]' is '1.5'; give a whole number"),
      (least + "ranks: [8, 8]\n", "'ranks[1]' stands twice; keep one"),
      (least + "tolerances: 1\n", "'tolerances' is '1'; give a number between 0 and 1, such as 1e-3"),
      (least + "method: fast\n", "'method' is 'fast'; give 'auto' or "),
      (least + "seed: -1\n", "'seed' is '-1'; give a whole number of 0 or more"),
      (least + "bias: perhaps\n", "'bias' is 'perhaps'; give true or false"),
      (least + "filters:\n  - targets: [q]\n", "plan.yaml:5: 'filters[0]' has no name; give it 'name: ...'"),
      (
        least + "filters:\n  - {name: a}\n  - {name: a}\n",
        "plan.yaml:6: 'filters[1].name' is 'a', which is taken; give each a name of its own"
      ),
      (least + "filters:\n  - {name: a/b}\n", "'filters[0].name' is 'a/b', but names become folders"),
      (
        least + "edits:\n  - {name: a, drop: {q: 3-1}}\n",
        "'edits[0].drop.q' is '3-1'; give numbers of singular"
      ),
      (
        least + "ranks: [4, 8]\nedits:\n  - {name: a, drop: {q: 2-5}}\n",
        "plan.yaml:6: 'edits[0].drop.q' of edit 'a' names singular value 5, but rank 4 has 0 to 3"
      ),
      (least + "pairs: []\n", "the key 'pairs' stands twice; keep one"),
      ("output: x\npairs:\n  - {name: a, base: b}\n", "plan.yaml:3: 'pairs[0]' needs 'base' and 'tuned'"),
      (least + "evaluate: {timeout: 3}\n", "'evaluate' needs 'command', a line for the shell"),
      (least + "search: {metric: a, budget: 3}\n", "'search' needs 'evaluate', the command"),
      (
        least + "evaluate: {command: x}\nsearch: {metric: a, budget: 3, pair: b}\n",
        "'search.pair' is 'b', which the plan does not have; here are kjv"
      ),
      (
        least + "evaluate: {command: x}\nsearch: {metric: a, budget: 3, rank: 3}\n",
        "'search.rank' is not among 'ranks'"
      ),
      (least + "ranks: [8\n", "plan.yaml:5: is no YAML: "),
    ])
  func mistakes(text: String, sentence: String) throws {
    let folder = try TemporaryFolder()
    try folder.write(Array(text.utf8), to: "plan.yaml")
    do {
      _ = try SweepPlan(path: folder.file("plan.yaml"))
      Issue.record("no error for:\n\(text)")
    } catch {
      #expect("\(error)".contains(sentence), "\(error)")
      #expect("\(error)".hasPrefix(folder.file("plan.yaml:")) && error.exitCode == .usage)
    }
  }

  @Test("names that meet are refused")
  func equalNames() throws {
    let folder = try TemporaryFolder()
    let text = """
      output: out
      pairs: [{name: a, base: b, tuned: t}]
      filters: [{name: b-c}, {name: b}]
      edits: [{name: d}, {name: c-d}]
      """
    try folder.write(Array(text.utf8), to: "plan.yaml")
    #expect(throws: SweepPlanError.self) { try SweepPlan(path: folder.file("plan.yaml")) }
  }

  @Test("a file that is not there is a mistake of the command line")
  func noFile() {
    #expect(throws: SweepPlanError.self) { try SweepPlan(path: "/nowhere/plan.yaml") }
  }

  private func plan(_ text: String) throws -> (SweepPlan, TemporaryFolder) {
    let folder = try TemporaryFolder()
    try folder.write(Array(text.utf8), to: "plan.yaml")
    return (try SweepPlan(path: folder.file("plan.yaml")), folder)
  }
}
