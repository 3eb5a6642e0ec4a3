import Adapters
import ArgumentParser
import Checkpoints
import MPI
import Scheduling

/// `unbraid convert`: what was trained on an initialisation in, a plain adapter or a model out.
struct ConvertCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Turn what was trained on an initialisation into a plain adapter or a model.",
    discussion: """
      An adapter that was trained on the residual model of pissa, milora, olora or corda becomes an adapter of the
      original model: exactly, at the sum of both ranks, or cut to --rank. Of lora-xs the trained matrices go into B.
      What svd-training trained becomes a model: TRAINED is then its state as safetensors, of which the singular values
      are enough.

      Instead of the folder that init made, FROM may be the initial adapter alone, also one that PEFT saved.

      Example:  unbraid convert trained-adapter llama-pissa -o chat-adapter
      """)

  @Argument(
    help: "What was trained: a PEFT adapter's folder, or safetensors of svd-training.", completion: .directory
  )
  var trained: String

  @Argument(help: "The folder that init made, or the adapter before its training.", completion: .directory)
  var from: String

  @Option(
    parsing: .unconditional, help: "Cut each module's update to this rank (default: all of it, exactly).")
  var rank: Int?

  @Option(
    help: "svd-training: the original model (default: where it was when init ran).", completion: .directory)
  var model: String?

  @Option(
    name: .customLong("factor-dtype"),
    help: "Type of the written factors (default: one that holds them as they are).")
  var factorType: FactorType?

  @Option(
    help: "What the adapter calls its base model, such as a hub name (default: the original model's path).")
  var baseName: String?

  @OptionGroup var output: OutputArguments

  func validate() throws {
    do { _ = try request() } catch let error as RequestError { throw ValidationError(error.description) }
  }

  /// An adapter takes seconds; a model is written file by file.
  var carriesOn: Bool { (try? request())?.makesModel ?? false }

  func run(on world: borrowing Communicator) throws {
    let conversion = Conversion(try request(), version: Unbraid.version)
    try withOutput(
      output.path, on: world, completed: { conversion.completedSummary(at: tidyPath(output.path)) }
    ) { folder in
      guard let folder else { return }
      if world.size > 1 { Messages.printNotice("note: one rank does it, \(world.size - 1) wait") }
      let summary = try conversion.run(into: folder, notify: Messages.printNotice)
      print("\(output.path): \(summary)")
    }
  }

  private func request() throws -> ConversionRequest {
    try ConversionRequest(
      trainedPath: tidyPath(trained), originPath: tidyPath(from), modelPath: model.map(tidyPath), rank: rank,
      factorType: factorType, baseName: baseName)
  }
}
