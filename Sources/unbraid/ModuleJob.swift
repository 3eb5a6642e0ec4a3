import MPI
import Scheduling

/// Collective: does the modules of a plan, and makes the folder of a command from what came of them.
///
/// - Parameters:
///   - plan: The same on every rank.
///   - path: The folder as typed.
///   - arguments: What the job may take.
///   - world: All ranks.
///   - printEnd: Called on rank 0 with what came of it.
/// - Throws: `OutputError` on rank 0 if the folder cannot be taken, and the first error of any rank.
func runModules<Plan: UnitPlan>(
  of plan: Plan, into path: String, _ arguments: ResourceArguments, on world: borrowing Communicator,
  printEnd: (Plan.Outcome) -> Void
) throws {
  let version = Unbraid.version
  try withOutput(
    path, on: world, completed: { plan.completedSummary(at: path, version: version) }
  ) { folder in
    let resources = try arguments.announcedResources(on: world, notes: plan.notes)
    let progress = ProgressPrinter()
    let outcome = try JournaledJob(plan, resources: resources, version: version).run(
      on: world, into: folder, notify: Messages.printNotice, onProgress: progress.show)
    progress.finish()
    if let outcome { printEnd(outcome) }
  }
}

/// Says what a person wants to know at the end of a job.
func printEnd<Request>(_ report: UnitReport<Request>, of path: String) {
  print("\(path): \(report.summary)")
  for line in HostSummary.lines(report.ranks) { print(line) }
}
