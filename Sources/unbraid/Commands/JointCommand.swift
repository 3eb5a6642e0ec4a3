import Adapters
import ArgumentParser
import LinearAlgebra
import MPI
import Scheduling
import WeightSources

/// `unbraid joint`: the differences of all layers, decomposed together.
struct JointCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "joint",
    abstract: "Decompose all layers' differences together: shared bases or components.",
    discussion: """
      Modules of one type in all layers form a tensor that is never assembled. tucker finds bases of outputs and
      inputs that all layers share, with a small core a layer; cp finds rank-one components, each with a profile over
      the layers; shared finds a basis on one side only. Several fine-tunes of one base form a further mode. The
      error is reported beside that of separate SVDs of as many numbers.

      Example:  mpirun -n 4 unbraid joint llama-base llama-chat -o chat-tucker --method tucker --rank 64
      """)

  @OptionGroup var arguments: JointArguments
  @OptionGroup var resourceArguments: ResourceArguments
  @OptionGroup var output: OutputArguments

  var carriesOn: Bool { true }

  func validate() throws {
    if resourceArguments.headCoordinates {
      throw ValidationError("--head-coordinates leaves rank 0 out, and joint takes all ranks; leave it out")
    }
  }

  func run(on world: borrowing Communicator) throws {
    let request = try arguments.request()
    let plan = try world.shared { try JointPlan(request) }
    try withOutput(output.path, on: world, completed: { completedSummary(plan) }) { folder in
      try decompose(plan, into: folder, on: world)
    }
  }

  private func completedSummary(_ plan: JointPlan) -> String? {
    JointReport.completed(at: output.path, plan, version: Unbraid.version).map { "\($0.groups.count) groups" }
  }

  private func decompose(
    _ plan: JointPlan, into folder: OutputFolder?, on world: borrowing Communicator
  ) throws {
    let resources = try resourceArguments.announcedResources(on: world, notes: plan.notes)
    if world.rank == 0 {
      for notice in plan.memoryNotes(resources) { Messages.printNotice("note: \(notice)") }
      noteIdleRanks(plan, world)
    }
    let progress = JointProgressPrinter()
    let job = JointJob(plan, resources: resources, version: Unbraid.version)
    let report = try job.run(on: world, into: folder, notify: Messages.printNotice, onProgress: progress.show)
    progress.finish()
    if let report {
      for line in report.lines { print(line) }
      for group in report.record.unchangedGroups { print("\(group): did not change") }
      print("\(output.path): \(report.record.groups.count) groups")
    }
  }

  private func noteIdleRanks(_ plan: JointPlan, _ world: borrowing Communicator) {
    let most = plan.groups.map(\.sliceCount).max() ?? 0
    guard world.size > most else { return }
    Messages.printNotice(
      "note: \(world.size - most) of \(world.size) ranks have nothing to do: no group has more than \(most) layers"
    )
  }
}
