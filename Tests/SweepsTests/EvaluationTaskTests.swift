import Foundation
import Sweeps
import TestSupport
import Testing

/// The evaluation command: what it is given, what is taken of it, and how it may fail.
@Suite struct EvaluationTaskTests {
  private let folder: TemporaryFolder
  private var logPath: String { folder.file("log") }

  init() throws { folder = try TemporaryFolder() }

  private func run(_ command: String, timeout: Double? = nil, isStopped: () -> Bool = { false })
    -> EvaluationOutcome
  {
    EvaluationTask(
      command: command, environment: ["UNBRAID_ADAPTER": "/a b"], folder: folder.path, logPath: logPath,
      timeoutSeconds: timeout
    ).run(isStopped: isStopped)
  }

  private var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }

  @Test("numbers and texts of the last line are taken, and both outputs are kept")
  func values() {
    let outcome = run(
      """
      echo one; echo two >&2
      echo '{"ppl": 3.5, "count": 7, "path": "'"$UNBRAID_ADAPTER"'", "ok": true, "list": [1], "none": null}'
      echo
      """)
    #expect(outcome.status == .ok && outcome.message == nil)
    #expect(outcome.values == ["ppl": .number(3.5), "count": .number(7), "path": .text("/a b")])
    #expect(outcome.number("ppl") == 3.5 && outcome.number("path") == nil && outcome.number("x") == nil)
    #expect(log.contains("one\n") && log.contains("two\n") && log.contains("\"ppl\""))
  }

  @Test(
    "exit codes, signals and other last lines are failures that name the log",
    arguments: [
      ("echo '{}'; exit 3", "ended with exit code 3, see "), ("kill -9 $$", "ended by signal 9, see "),
      ("echo '{\"a\": 1}'; echo done", "its last line of standard output is no JSON object, see "),
      ("echo '[1]'", "no JSON object"), ("true", "no JSON object"), ("echo '{\"a\": NaN}'", "no JSON object"),
      ("/nowhere/at/all", "ended with exit code 127, see "),
    ])
  func failures(command: String, message: String) {
    let outcome = run(command)
    #expect(outcome.status == .failed && outcome.values.isEmpty)
    #expect(outcome.message?.contains(message) ?? false, "\(outcome.message ?? "")")
  }

  @Test("after its time a command ends with everything it started, also where it ignores the request")
  func timeout() throws {
    let outcome = run(
      "trap '' TERM; sleep 1001 & echo $! > \(folder.file("child")); sleep 1002", timeout: 0.3)
    #expect(outcome.status == .failed && outcome.seconds < 9)
    #expect(outcome.message?.hasPrefix("not done after 0.3 s, see ") ?? false)
    let child = try String(contentsOfFile: folder.file("child"), encoding: .utf8)
      .trimmingCharacters(in: .whitespacesAndNewlines)
    try expectDead(child)
  }

  @Test("a command that leaves something running in the background is done when it ends itself")
  func background() throws {
    let outcome = run("sleep 1003 & echo $! > \(folder.file("child")); echo '{\"a\": 1}'")
    #expect(outcome.status == .ok && outcome.seconds < 4)
    try expectDead(
      String(contentsOfFile: folder.file("child"), encoding: .utf8)
        .trimmingCharacters(in: .whitespacesAndNewlines))
  }

  @Test("a job that is told to stop ends its command")
  func stop() {
    let start = Date()
    let outcome = run("sleep 1004") { Date().timeIntervalSince(start) > 0.3 }
    #expect(outcome.status == .stopped && outcome.seconds < 3)
  }

  @Test("an output of any length does not stop it, and its last line is found")
  func longOutput() {
    let outcome = run("head -c 3000000 /dev/zero | tr '\\0' 'x'; echo; echo '{\"a\": 1}'")
    #expect(outcome.number("a") == 1)
    #expect(log.count > 3_000_000)
  }

  @Test("the launcher's words to a rank are not passed on")
  func environment() {
    let variables = [
      "PATH": "/bin", "OMPI_COMM_WORLD_RANK": "0", "PMIX_RANK": "0", "OMPI_ALLOW_RUN_AS_ROOT": "1",
      "SLURM_JOB_ID": "7",
    ]
    #expect(withoutLauncher(variables).keys.sorted() == ["OMPI_ALLOW_RUN_AS_ROOT", "PATH", "SLURM_JOB_ID"])
  }

  /// A zombie counts as dead: its parent may be an init that never looks.
  ///
  /// A kill takes a moment on a busy machine.
  private func expectDead(_ process: String) throws {
    var state = ""
    for _ in 0..<100 {
      state = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
      if state.isEmpty || state.contains(") Z ") { return }
      usleep(20_000)
    }
    Issue.record("still there: \(state)")
  }
}
