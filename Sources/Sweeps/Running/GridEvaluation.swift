internal import Adapters
internal import Foundation
internal import Scheduling

/// Evaluates the adapters of experiments and adds what is found to their rows; on rank 0.
struct GridEvaluation {
  private let plan: SweepPlan
  private let evaluation: SweepPlan.Evaluation
  private let folder: SweepFolder

  /// What a plan evaluates; nil if it evaluates nothing.
  init?(_ plan: SweepPlan, in folder: SweepFolder) {
    guard let evaluation = plan.evaluation else { return nil }
    self.plan = plan
    self.evaluation = evaluation
    self.folder = folder
  }

  /// Evaluates those adapters whose rows want it: not yet evaluated, without success, or by another command.
  ///
  /// - Parameters:
  ///   - experiments: Any; those without an adapter are passed over.
  ///   - pool: The evaluators.
  ///   - onProgress: Called with the number done and of all.
  /// - Throws: What the output folder has against it, or `JobStopped` after a signal.
  func run(_ experiments: [Experiment], on pool: inout EvaluationPool, onProgress: (Int, Int) -> Void) throws
  {
    let pending = experiments.filter { experiment in
      guard let row = folder.row(experiment.name), folder.hasAdapter(experiment.name) else { return false }
      return row.evaluation?.command != evaluation.command || row.evaluation?.outcome.status != .ok
    }
    var doneCount = 0
    try pool.run(pending.map(task)) { number, outcome in
      guard var row = folder.row(pending[number].name) else {
        throw OutputError.failed(
          path: folder.path, operation: "read the row of \(pending[number].name)", reason: "it is gone")
      }
      row.evaluation = ExperimentRow.Evaluation(command: evaluation.command, outcome: outcome)
      row.status = outcome.status == .ok ? .ok : .evaluationFailed
      row.message = outcome.message.map { "the evaluation " + $0 }
      try folder.write(row)
      doneCount += 1
      onProgress(doneCount, pending.count)
    }
  }

  /// What a command is told of its experiment.
  private func task(_ experiment: Experiment) -> EvaluationTask {
    EvaluationTask(
      command: evaluation.command,
      environment: [
        "UNBRAID_ADAPTER": folder.adapterPath(experiment.name), "UNBRAID_EXPERIMENT": experiment.name,
        "UNBRAID_BASE": experiment.pair.basePath, "UNBRAID_TUNED": experiment.pair.tunedPath,
        "UNBRAID_PAIR": experiment.pair.name, "UNBRAID_RANK": String(experiment.rank.label.dropFirst()),
        "UNBRAID_TOLERANCE": "\(experiment.tolerance)", "UNBRAID_FILTER": experiment.filter.name,
        "UNBRAID_EDIT": experiment.edit.edit.text,
      ],
      folder: (plan.path as NSString).deletingLastPathComponent, logPath: folder.logPath(experiment.name),
      timeoutSeconds: evaluation.timeoutSeconds)
  }
}
