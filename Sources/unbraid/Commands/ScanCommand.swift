import Analysis
import ArgumentParser
import MPI
import Scheduling

/// `unbraid scan`: which layers stand out of the noise, from singular values alone.
struct ScanCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "scan",
    abstract: "Rank a model's layers by their spectra and select some for training.",
    discussion: """
      Computes all singular values of every linear layer and writes what Spectrum writes: the signal-to-noise ratio of
      each module, the same sorted, and the parameters to unfreeze, for axolotl. Beside it come measures that Spectrum
      has not: where noise really ends, stable and effective rank, power law, condition number.

      Example:  mpirun -n 4 unbraid scan llama-base -o llama-scan --top-percent 25
      Example:  unbraid scan --from snr_results_llama-base.json --top-percent 50 > unfrozen.yaml
      """)

  @OptionGroup var arguments: ScanArguments
  @OptionGroup var resourceArguments: ResourceArguments

  @Option(
    name: [.customShort("o"), .customLong("output")],
    help:
      "The folder to be made (default: scan_ and the model's name; with --from, the selection is printed).")
  var output: String?

  var carriesOn: Bool { arguments.model != nil }

  func validate() throws {
    if output?.isEmpty ?? false { throw ValidationError("-o is empty; give the folder to be made") }
  }

  func run(on world: borrowing Communicator) throws {
    if let file = arguments.from { return try selectAgain(from: file, on: world) }
    let request = try arguments.request()
    let bytes = world.rank == 0 ? try ScanPlan(request).encoded() : []
    let plan = try ScanPlan(decoding: world.broadcast(bytes, root: 0))
    let path = output ?? "scan_\(request.slug)"
    try withOutput(path, on: world, completed: { completedSummary(plan, at: path) }) { folder in
      try scan(plan, into: folder, at: path, on: world)
    }
  }

  private func completedSummary(_ plan: ScanPlan, at path: String) -> String? {
    UnitReport.completed(at: path, plan.request, inputs: plan.inputs, version: Unbraid.version)?.summary
  }

  private func scan(
    _ plan: ScanPlan, into folder: OutputFolder?, at path: String, on world: borrowing Communicator
  ) throws {
    let resources = try resourceArguments.resources(on: world)
    if world.rank == 0 {
      for notice in resources.notices + plan.notes { Messages.printNotice("note: \(notice)") }
    }
    let progress = ProgressPrinter()
    let job = ScanJob(plan, resources: resources, version: Unbraid.version)
    let outcome = try job.run(on: world, into: folder, notify: Messages.printNotice) { state in
      progress.show(
        state.finishedCount, of: state.unitCount, share: state.share, bytesDone: state.bytesDone)
    }
    progress.finish()
    if let outcome {
      print(SpectraTable(outcome.spectra).text)
      print("\(path): \(outcome.report.summary)")
      for line in HostSummary.lines(outcome.report.ranks) { print(line) }
    }
  }

  /// Collective: reads results and selects from them, on rank 0 alone.
  private func selectAgain(from file: String, on world: borrowing Communicator) throws {
    if let output {
      return try withOutput(output, on: world, completed: { nil }) { folder in
        guard let folder else { return }
        try ScanSelection(path: file, topPercent: arguments.topPercent).publish(into: folder)
        print("\(output): \(arguments.topPercent) % of the modules in \(file) selected")
      }
    }
    guard world.rank == 0 else { return }
    print(try LayerRatios(path: file).selectionText(topPercent: arguments.topPercent), terminator: "")
  }
}
