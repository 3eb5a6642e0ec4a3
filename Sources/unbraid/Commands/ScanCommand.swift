import Analysis
import ArgumentParser
import MPI
import Scheduling

/// `unbraid scan`: which layers stand out of the noise, from singular values alone.
struct ScanCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "scan",
    abstract: "Rank a model's layers by their spectra, or tell those of a fine-tune's difference.",
    discussion: """
      Computes all singular values of every linear layer and writes what Spectrum writes: the signal-to-noise ratio of
      each module, the same sorted, and the parameters to unfreeze, for axolotl. Beside it come measures that Spectrum
      has not: where noise really ends, stable and effective rank, power law, condition number.

      Of two models their difference is scanned, by the same measures; nothing is selected, and Spectrum's files are
      not written.

      Example:  mpirun -n 4 unbraid scan llama-base -o llama-scan --top-percent 25
      Example:  unbraid scan llama-base llama-chat -o chat-spectra
      Example:  unbraid scan --from snr_results_llama-base.json --top-percent 50 > unfrozen.yaml
      """)

  @OptionGroup var arguments: ScanArguments
  @OptionGroup var resourceArguments: ResourceArguments

  @Option(
    name: [.customShort("o"), .customLong("output")],
    help: ArgumentHelp(
      "The folder to be made (default: scan_MODEL, of two models scan_TUNED-minus-BASE).",
      discussion: "With --from and without a folder, the selection is printed."))
  var output: String?

  var carriesOn: Bool { arguments.model != nil }

  func validate() throws {
    if output?.isEmpty ?? false { throw ValidationError("-o is empty; give the folder to be made") }
  }

  func run(on world: borrowing Communicator) throws {
    if let file = arguments.from { return try selectAgain(from: file, on: world) }
    let request = try arguments.request()
    let plan = try world.shared { try ScanPlan(request) }
    let path = output ?? request.folderName
    try runModules(of: plan, into: path, resourceArguments, on: world) { outcome in
      print(SpectraTable(outcome.spectra).text)
      printEnd(outcome.report, of: path)
    }
  }

  /// Collective: reads results and selects from them, on rank 0 alone.
  private func selectAgain(from file: String, on world: borrowing Communicator) throws {
    if let output {
      return try withOutput(output, on: world, completed: { nil }) { folder in
        guard let folder else { return }
        try ScanSelection(path: file, topPercent: arguments.selectedPercent).publish(into: folder)
        print("\(output): \(arguments.selectedPercent) % of the modules in \(file) selected")
      }
    }
    guard world.rank == 0 else { return }
    print(try LayerRatios(path: file).selectionText(topPercent: arguments.selectedPercent), terminator: "")
  }
}
