import Adapters
import ArgumentParser
import Checkpoints
import MPI
import Scheduling

/// `unbraid resize`: an adapter in, one with other ranks out.
struct ResizeCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "resize",
    abstract: "Write a LoRA adapter anew with smaller ranks.",
    discussion: """
      Finds the singular values of every module's update, scale B A, from its factors alone, and keeps those that the
      rules choose: of rules that are given together the smallest rank wins, a budget is spread over what they leave.
      The factors get sqrt(sigma) on each side and alpha = rank. Saved modules, biases and the configuration stay.

      Examples:  unbraid resize chat-adapter -o chat-16 --rank 16
                 unbraid resize chat-adapter -o chat-small --energy 0.9 --rank 64
      """)

  @Argument(help: "The folder of a PEFT LoRA adapter.", completion: .directory)
  var adapter: String

  @OptionGroup(title: "Rank rules") var limits: RankArguments
  @OptionGroup(title: "Edits") var edits: EditArguments
  @OptionGroup var output: OutputArguments

  @Option(
    name: .customLong("factor-dtype"), help: "Type of the written factors (default: that of the adapter's).")
  var factorType: FactorType?

  func validate() throws {
    if limits.noiseFloor != nil || limits.gavishDonoho {
      throw ValidationError(
        "--noise-floor and --gavish-donoho tell noise from a fine-tune's whole spectrum, of which an adapter has a part; "
          + "give --rank, --energy or another rule")
    }
    if try rules() == TripletRules() && factorType == nil {
      throw ValidationError("nothing is to be changed; give --rank, --energy or another rule")
    }
  }

  func run(on world: borrowing Communicator) throws {
    // Seconds of work: rank 0 does it all, whoever else was started.
    guard world.rank == 0 else { return }
    let request = ResizeRequest(adapterPath: tidyPath(adapter), rules: try rules(), factorType: factorType)
    let report = try ResizeJob(request).run(into: OutputFolder(path: output.path))
    for note in report.notes { Messages.printNotice("note: \(note)") }
    print("\(output.path): \(report.summary)")
  }

  private func rules() throws -> TripletRules { try limits.rules(with: edits) }
}
