import Adapters
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
  @OptionGroup var consumer: ConsumerArguments
  @OptionGroup var output: OutputArguments

  var carriesOn: Bool { true }

  func validate() throws {
    try resourceArguments.validate(with: arguments.decomposition.method)
  }

  func run(on world: borrowing Communicator) throws {
    let request = try arguments.request()
    let plan = try world.shared { try ExtractionPlan(request) }
    let basePath = request.basePath ?? request.tunedPath
    if world.rank == 0 {
      let largestRank = plan.layout.modules.map(\.largestRank).max() ?? 1
      try consumer.check(basePath: basePath, largestRank: largestRank)
    }
    try withOutput(output.path, on: world, completed: { completedSummary(plan) }) { folder in
      if let folder { consumer.prepare(folder, basePath: basePath, factorType: request.factorType) }
      try extract(plan, into: folder, on: world)
    }
  }

  private func completedSummary(_ plan: ExtractionPlan) -> String? {
    ExtractionReport.completed(at: output.path, plan, version: Unbraid.version)?.summary
  }

  private func extract(
    _ plan: ExtractionPlan, into folder: OutputFolder?, on world: borrowing Communicator
  ) throws {
    let resources = try resourceArguments.announcedResources(on: world)
    let progress = ProgressPrinter()
    let extraction = Extraction(plan, resources: resources, version: Unbraid.version)
    let report = try extraction.run(
      on: world, into: folder, notify: Messages.printNotice, onProgress: progress.show)
    progress.finish()
    if let report { printEnd(report, of: output.path) }
  }
}

/// Says what a person wants to know at the end of a job.
func printEnd(_ report: ExtractionReport, of path: String) {
  for note in report.notes { Messages.printNotice("note: \(note)") }
  print("\(path): \(report.summary)")
  for line in HostSummary.lines(report.ranks) { print(line) }
}
