import ArgumentParser
import MPI
import Scheduling
import Sweeps

/// `unbraid sweep`: many adapters and what they are worth, from one plan file.
struct SweepCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep",
    abstract: "Extract, edit and evaluate many adapters by a plan.",
    discussion: """
      A plan lists pairs of models, ranks, tolerances, sets of modules and of singular values; every combination is
      an experiment with an adapter of its own. What experiments share is computed once: smaller ranks, fewer
      modules and fewer singular values are choices from one decomposition. A command may evaluate every adapter,
      and a search may look for the singular values to keep. All results are in results.csv and results.json.

      The same command carries on where it was stopped. deploy/examples/sweep.yaml shows every key.

      Example:  mpirun -n 8 --hostfile hostfiles/lab unbraid sweep plan.yaml
      """)

  @Argument(help: "The plan, a YAML file; paths in it are relative to its folder.", completion: .file())
  var plan: String

  @Option(
    help: ArgumentHelp(
      "Do one group alone, by its index: those experiments that share a decomposition.",
      discussion: "For array jobs; --list shows the groups. All tasks may share the output folder."))
  var index: Int?

  @Flag(help: "Show groups and experiments, and do nothing.")
  var list = false

  @OptionGroup var resourceArguments: ResourceArguments

  var carriesOn: Bool { true }

  func run(on world: borrowing Communicator) throws {
    let plan = try world.shared { try SweepPlan(path: self.plan) }
    let groups = try chosenGroups(of: plan)
    guard !list else {
      if world.rank == 0 { print(SweepListing(plan).text) }
      return
    }
    let resources = try resourceArguments.announcedResources(on: world)
    let printer = ProgressPrinter()
    let progress = Sweep.Progress(
      notify: { sentence in
        printer.finish()
        Messages.printNotice(sentence)
      },
      decomposed: { state in
        printer.show(
          state.finishedCount, of: state.unitCount, share: state.share, bytesDone: state.bytesDone)
      },
      evaluated: { finished, count in Messages.printNotice("evaluated \(finished) of \(count)") })
    let sweep = Sweep(plan, resources: resources, version: Unbraid.version)
    let summary = try sweep.run(groups, on: world, progress)
    printer.finish()
    guard let summary else { return }
    print(summary.text)
    if !summary.failed.isEmpty {
      throw SweepError.failures(names: summary.failed, tablePath: summary.tablePath)
    }
  }

  private func chosenGroups(of plan: SweepPlan) throws -> [ExperimentGroup] {
    guard let index else { return plan.groups }
    guard plan.groups.indices.contains(index) else {
      throw SweepError.noSuchIndex(index: index, count: plan.groups.count)
    }
    return [plan.groups[index]]
  }
}

/// The groups of a plan as `--list` shows them.
struct SweepListing {
  private let plan: SweepPlan

  init(_ plan: SweepPlan) { self.plan = plan }

  var text: String {
    let groups = plan.groups
    let lines = groups.flatMap { group in
      ["\(group.index)  \(group.name)"] + group.experiments.map { "     \($0.name)" }
        + (group.isSearched ? ["     search-001 …"] : [])
    }
    let last = groups.count - 1
    return (lines + ["\(plan.experiments.count) experiments in \(groups.count) groups: --array=0-\(last)"])
      .joined(separator: "\n")
  }
}
