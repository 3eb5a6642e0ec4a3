import Adapters
import ArgumentParser
import Checkpoints
import MPI
import Scheduling

/// `unbraid graft`: some layers of a fine-tune in its base model.
struct GraftCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "graft",
    abstract: "Put some layers of a fine-tune into its base model.",
    discussion: """
      Copies every tensor of the layers that are named from TUNED and all else from BASE, bit for bit. Layers count from
      0 and a range has both its ends: 48-63 are the sixteen that mergekit's passthrough calls layer_range [48, 64]. The
      same command carries on after an interruption, with the files of the model that are not finished.

      Example:  unbraid graft llama-base llama-chat --layers 16-23 -o llama-grafted
      """)

  @Argument(help: "The base model: a folder with safetensors, or one such file.", completion: .directory)
  var base: String

  @Argument(help: "The fine-tuned model, likewise.", completion: .directory)
  var tuned: String

  @Option(help: "The layers to take from TUNED, such as 16-23 or 0-3,20-.")
  var layers: String

  @OptionGroup var output: OutputArguments

  @Option(help: "Greatest size of a file, such as 5G (default: the files of the base model).")
  var shardSize: ByteCount?

  func validate() throws { _ = try layerNumbers() }

  var carriesOn: Bool { true }

  func run(on world: borrowing Communicator) throws {
    let request = GraftRequest(
      basePath: tidyPath(base), tunedPath: tidyPath(tuned), layers: try layerNumbers(),
      shardSize: shardSize?.count)
    try runByOneRank(GraftJob(request, version: Unbraid.version), to: output.path, on: world)
  }

  private func layerNumbers() throws -> TripletNumbers {
    guard let numbers = TripletNumbers(layers), numbers != .none else {
      throw ValidationError("--layers is '\(layers)'; give numbers such as 16-23 or 0-3,20-")
    }
    return numbers
  }
}
