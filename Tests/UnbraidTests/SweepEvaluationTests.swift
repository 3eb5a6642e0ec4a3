import Foundation
import TestSupport
import Testing

extension TroubleSuite {
  /// Evaluations and searches of `unbraid sweep`.
  @Suite struct SweepEvaluationTests {
    /// Notes each call; fails on rank 3; what it prints is checked.
    private static let judge = """
      #!/bin/sh
      echo "$UNBRAID_EXPERIMENT" >> calls
      test -f "$UNBRAID_ADAPTER/adapter_model.safetensors" || exit 9
      if [ "$UNBRAID_RANK" = 3 ] && [ ! -e mended ]; then echo broken; exit 4; fi
      echo noise
      echo '{"score": '"$UNBRAID_RANK"', "base": "'"$UNBRAID_BASE"'", "filter": "'"$UNBRAID_FILTER"'"}'
      """

    private static let plan =
      SweepWorkspace.head + "ranks: [2, 3, 4]\nevaluate: {command: sh judge.sh, timeout: 20}\n"

    private func workspace(_ plan: String, judge: String) throws -> SweepWorkspace {
      let workspace = try SweepWorkspace(plan: plan)
      try workspace.folder.write(Array(judge.utf8), to: "judge.sh")
      return workspace
    }

    private func calls(_ workspace: SweepWorkspace) throws -> [String] {
      try String(contentsOfFile: workspace.folder.file("calls"), encoding: .utf8)
        .split(separator: "\n").map(String.init)
    }

    @Test(
      "numbers and texts come into the row; a failure marks its own; only what failed is done again",
      arguments: [1, 3])
    func evaluations(ranks: Int) throws {
      let workspace = try workspace(Self.plan, judge: Self.judge)
      let result = try workspace.run(ranks: ranks)
      #expect(result.status == 65)
      #expect(try workspace.rows().map(\.status) == ["ok", "evaluation-failed", "ok"])
      let values = try #require(try workspace.row("a-r4").evaluation?.outcome.values)
      #expect(values["score"] == .number(4) && values["filter"] == .text("linear"))
      #expect(values["base"] == .text(workspace.models.basePath))
      #expect(try workspace.row("a-r3").message?.contains("ended with exit code 4, see ") ?? false)
      #expect(try workspace.text("logs/a-r3.log") == "broken\n")
      #expect(try workspace.text("results.csv").contains(",filter,edit,"))
      #expect(try workspace.text("results.csv").contains(",base,evaluation.filter,score\r\n"))

      try workspace.folder.write([], to: "mended")
      try workspace.runWell(ranks: ranks)
      #expect(try calls(workspace).sorted() == ["a-r2", "a-r3", "a-r3", "a-r4"])
      #expect(try workspace.row("a-r3").evaluation?.outcome.values["score"] == .number(3))

      // Another command is another evaluation of the same adapters.
      try workspace.setPlan(Self.plan.replacing("sh judge.sh", with: "sh ./judge.sh"))
      try workspace.runWell()
      #expect(try calls(workspace).count == 7)
    }

    @Test(
      "a signal ends the evaluation with everything it started, the job with 75, and the next run goes on",
      arguments: [nil, 2])
    func stopped(ranks: Int?) throws {
      let judge = """
        echo "$UNBRAID_EXPERIMENT" >> calls
        if [ "$UNBRAID_RANK" = 3 ] && [ ! -e mended ]; then echo $$ > judge.pid; sleep 1005; fi
        echo '{"score": 1}'
        """
      let workspace = try workspace(Self.plan, judge: judge)
      let running = try Workspace.start(["sweep", workspace.planPath], ranks: ranks)
      let start = ContinuousClock.now
      while !FileManager.default.fileExists(atPath: workspace.folder.file("judge.pid")) {
        try #require(ContinuousClock.now - start < .seconds(20), "the evaluation does not begin")
        usleep(10_000)
      }
      usleep(100_000)
      kill(running.identifier, SIGUSR1)
      let result = running.result(timeoutSeconds: 50)
      #expect(result.status == 75, "\(result.errorOutput)")
      #expect(result.sentences.last == "unbraid: stopped by SIGUSR1; the same command carries on")
      let judgeNumber = try String(contentsOfFile: workspace.folder.file("judge.pid"), encoding: .utf8)
        .trimmingCharacters(in: .whitespacesAndNewlines)
      let state = (try? String(contentsOfFile: "/proc/\(judgeNumber)/stat", encoding: .utf8)) ?? ""
      #expect(state.isEmpty || state.contains(") Z "))
      try workspace.folder.write([], to: "mended")
      try workspace.runWell(ranks: ranks)
      #expect(try workspace.rows().map(\.status) == ["ok", "ok", "ok"])
      #expect(try calls(workspace) == ["a-r2", "a-r3", "a-r3", "a-r4"])
    }

    /// A known function of what is left out: the best is to drop 0 and 2 of q_proj, 1 and 3 of up_proj.
    private static let searchJudge = """
      echo "$UNBRAID_EXPERIMENT" >> calls
      test -f "$UNBRAID_ADAPTER/adapter_model.safetensors" || exit 9
      awk -v edit="$UNBRAID_EDIT" 'BEGIN {
        gain["q_proj", 0] = 1; gain["q_proj", 1] = -2; gain["q_proj", 2] = 3; gain["q_proj", 3] = -1
        gain["up_proj", 0] = -1; gain["up_proj", 1] = 2; gain["up_proj", 2] = -1; gain["up_proj", 3] = 1.5
        score = 10
        parts = edit ~ /^drop/ ? split(edit, part, "\\"") : 0
        for (i = 1; i < parts; i += 2) {
          type = part[i]; gsub(/drop|[^a-z_]/, "", type)
          ranges = split(part[i + 1], range, ",")
          for (j = 1; j <= ranges; j++) {
            ends = split(range[j], end, "-")
            for (n = end[1]; n <= end[ends]; n++) score += gain[type, n]
          }
        }
        printf "{\\"score\\": %g}\\n", score
      }'
      """

    private static let searchPlan =
      SweepWorkspace.head + """
        ranks: [4]
        evaluate: {command: sh judge.sh}
        search: {metric: score, budget: 40, block: 1, seed: 5}
        """

    @Test("a search finds the known best edit, whatever the number of ranks, and names it for a plan")
    func search() throws {
      var tables: [[String]] = []
      for ranks in [1, 3] {
        let workspace = try workspace(Self.searchPlan, judge: Self.searchJudge)
        try workspace.runWell(ranks: ranks)
        let rows = try workspace.rows()
        #expect(rows.count <= 41 && rows.count > 10)
        let best = try #require(rows.first { $0.isBest ?? false })
        #expect(best.evaluation?.outcome.values["score"] == .number(17.5))
        #expect(rows.filter { $0.isBest ?? false }.count == 1)
        #expect(try workspace.adapter(best.name)[Name.query].rank == 2)
        // Beaten adapters are gone, their rows are not.
        let folders = try FileManager.default.contentsOfDirectory(atPath: workspace.outputPath)
        #expect(folders.filter { $0.hasPrefix("search-") } == [best.name])
        #expect(
          try workspace.text("best-edit.yaml") == """
            # The best of \(rows.count - 1) edits of pair a, rank 4, filter linear: score 17.5 (10.0 with all singular \
            values).
            edits:
            - name: best
              drop:
                q_proj: "0,2"
                up_proj: "1,3"

            """)
        tables.append(rows.map { "\($0.name) \($0.evaluation?.outcome.values["score"], default: "none")" })
        // Pasted into a plan, it is an experiment with the same factors.
        try workspace.setPlan(SweepWorkspace.head + "ranks: [4]\n" + workspace.text("best-edit.yaml"))
        try FileManager.default.moveItem(
          atPath: workspace.outputPath, toPath: workspace.folder.file("searched"))
        try workspace.runWell()
        let found = try Data(
          contentsOf: URL(filePath: workspace.folder.file("searched/\(best.name)/adapter_model.safetensors")))
        #expect(try workspace.adapter("a-r4-best").bytes("adapter_model.safetensors") == found)
      }
      #expect(tables[0] == tables[1])
    }

    @Test("a search that was stopped evaluates nothing twice and ends as an undisturbed one")
    func resumedSearch() throws {
      let undisturbed = try workspace(Self.searchPlan, judge: Self.searchJudge)
      try undisturbed.runWell()
      let slow = Self.searchJudge.replacing(
        "awk -v", with: "[ $(wc -l < calls) -lt 16 ] || [ -e mended ] || sleep 1006\nawk -v")
      let workspace = try workspace(Self.searchPlan, judge: slow)
      let running = try Workspace.start(["sweep", workspace.planPath], ranks: 2)
      let start = ContinuousClock.now
      while (try? calls(workspace).count) ?? 0 < 16 {
        try #require(ContinuousClock.now - start < .seconds(30), "the search does not begin")
        usleep(10_000)
      }
      usleep(200_000)
      kill(running.identifier, SIGUSR1)
      #expect(running.result(timeoutSeconds: 50).status == 75)
      try workspace.folder.write([], to: "mended")
      try workspace.runWell(ranks: 2)
      #expect(try workspace.text("best-edit.yaml") == undisturbed.text("best-edit.yaml"))
      #expect(try workspace.rows().map(\.name) == undisturbed.rows().map(\.name))
      // Once each, and the one that was stopped again.
      #expect(try calls(workspace).count == calls(undisturbed).count + 1)
      // Done, it does nothing more.
      try workspace.runWell()
      #expect(try calls(workspace).count == calls(undisturbed).count + 1)
    }

    @Test("a metric that the evaluation does not give is a mistake of the plan")
    func noMetric() throws {
      let workspace = try workspace(
        Self.searchPlan.replacing("metric: score", with: "metric: ppl"), judge: Self.searchJudge)
      let result = try workspace.run()
      #expect(result.status == 64)
      #expect(
        result.sentences.last?.contains("'search.metric' is 'ppl', but the evaluation gave score (") ?? false)
    }
  }
}
