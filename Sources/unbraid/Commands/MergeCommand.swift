import ArgumentParser
import Checkpoints
import MPI
import Scheduling

/// `unbraid merge`: a model and adapters in, a model out.
struct MergeCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge",
    abstract: "Add LoRA adapters to a model.",
    discussion: """
      Writes the model with every adapter's update added to its weights, in the model's own types: scales (alpha / r,
      rsLoRA, patterns), embeddings, modules stored whole and biases as PEFT has them. The sum is taken in single
      precision and rounded once. An adapter may have a weight: chat=0.5 adds half of it.

      The same command carries on after an interruption, with the files of the model that are not finished.

      Example:  unbraid merge llama-base chat-adapter code-adapter=0.5 -o llama-chat-code
      """)

  @Argument(help: "The model: a folder with safetensors, or one such file.", completion: .directory)
  var model: String

  @Argument(
    help: "Folders of PEFT adapters, each with =WEIGHT after it if that is not 1.", completion: .directory)
  var adapters: [WeightedPath]

  @OptionGroup var output: OutputArguments

  @Option(help: "Greatest size of a file, such as 5G (default: the files of the model).")
  var shardSize: ByteCount?

  var carriesOn: Bool { true }

  func run(on world: borrowing Communicator) throws {
    let request = MergeRequest(
      modelPath: tidyPath(model), adapters: adapters.map { (tidyPath($0.path), $0.weight) },
      shardSize: shardSize?.count)
    try runByOneRank(MergeJob(request, version: Unbraid.version), to: output.path, on: world)
  }
}

/// A path, and the weight that may follow it: `chat-adapter=0.5`.
struct WeightedPath: ExpressibleByArgument {
  let path: String
  let weight: Double

  init?(argument: String) {
    guard let sign = argument.lastIndex(of: "="),
      let weight = Double(argument[argument.index(after: sign)...])
    else {
      // A path may have an equals sign of its own.
      (path, weight) = (argument, 1)
      return
    }
    guard sign > argument.startIndex, weight.isFinite else { return nil }
    path = String(argument[..<sign])
    self.weight = weight
  }
}

/// Collective: lets rank 0 write a model, and prints how that went; the other ranks have nothing to do.
///
/// - Parameters:
///   - job: What to write.
///   - path: The folder as typed.
///   - world: All ranks.
/// - Throws: `OutputError` on rank 0 if the folder cannot be taken, and what the job throws.
func runByOneRank(_ job: some RewritingJob, to path: String, on world: borrowing Communicator) throws {
  try withOutput(path, on: world, completed: { job.completedSummary(at: tidyPath(path)) }) { folder in
    guard let folder else { return }
    if world.size > 1 {
      Messages.printNotice(
        "note: reading and writing take all the time: one rank does it, \(world.size - 1) wait")
    }
    let printer = ProgressPrinter()
    let report = try job.run(into: folder, notify: Messages.printNotice) { state in
      printer.show(
        state.finishedCount, of: state.tensorCount,
        share: Double(state.bytesDone) / Double(max(1, state.byteCount)), bytesDone: state.bytesDone)
    }
    printer.finish()
    print("\(path): \(report.summary)")
  }
}
