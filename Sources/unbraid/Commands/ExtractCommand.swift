import ArgumentParser
import LinearAlgebra
import MPI
import Scheduling

/// `unbraid extract`: two checkpoints in, a LoRA adapter out.
struct ExtractCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "extract",
    abstract: "Extract a LoRA adapter from a fine-tuned model.",
    discussion: """
      Decomposes the difference of every linear layer and writes a folder that PEFT loads: factors,
      configuration, a model card with every module's error, and report.json.

      Example:  mpirun -n 4 unbraid extract llama-base llama-chat -o chat-adapter --rank 64 --head
      """)

  @OptionGroup var arguments: ExtractionArguments
  @OptionGroup var resourceArguments: ResourceArguments
  @OptionGroup var output: OutputArguments

  var carriesOn: Bool { true }

  func validate() throws {
    if resourceArguments.headCoordinates && arguments.method.isCollective {
      throw ValidationError(
        "--head-coordinates leaves rank 0 out, and --method \(arguments.method.rawValue) takes all ranks; "
          + "give one of them")
    }
  }

  func run(on world: borrowing Communicator) throws {
    let request = try arguments.request()
    let plan = try sharedPlan(request, on: world)
    try withOutput(output.path, on: world, completed: { completedSummary(plan) }) { folder in
      try extract(plan, into: folder, on: world)
    }
  }

  private func completedSummary(_ plan: ExtractionPlan) -> String? {
    ExtractionReport.completed(at: output.path, plan, version: Unbraid.version)?.summary
  }

  private func extract(
    _ plan: ExtractionPlan, into folder: OutputFolder?, on world: borrowing Communicator
  ) throws {
    let resources = try resourceArguments.resources(on: world)
    if world.rank == 0 {
      for notice in resources.notices { Messages.printNotice("note: \(notice)") }
    }
    let progress = ProgressPrinter()
    let extraction = Extraction(plan, resources: resources, version: Unbraid.version)
    let report = try extraction.run(on: world, into: folder, notify: Messages.printNotice) { state in
      progress.show(
        state.finishedCount, of: state.unitCount, share: state.share, bytesDone: state.bytesDone)
    }
    progress.finish()
    if let report {
      for note in plan.notes { Messages.printNotice("note: \(note)") }
      print("\(output.path): \(report.summary)")
      for line in HostSummary.lines(report.ranks) { print(line) }
    }
  }
}

/// Collective: rank 0 reads headers and plans, the others receive the plan.
func sharedPlan(_ request: ExtractionRequest, on world: borrowing Communicator) throws -> ExtractionPlan {
  let bytes = world.rank == 0 ? try ExtractionPlan(request).encoded() : []
  return try ExtractionPlan(decoding: world.broadcast(bytes, root: 0))
}
