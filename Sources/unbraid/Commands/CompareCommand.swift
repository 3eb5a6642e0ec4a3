import Analysis
import ArgumentParser
import Checkpoints
import MPI
import Scheduling

/// `unbraid compare`: whether a fine-tune was a merged adapter, and which directions are new in it.
struct CompareCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Tell the rank of a fine-tune's update, and its intruder dimensions.",
    discussion: """
      The difference of a merged LoRA adapter has the adapter's rank, hidden under the rounding of the merged weights:
      that rank is found where it stands above the rounding, and said to be unknown where it does not. Intruder
      dimensions are leading left singular vectors of a tuned matrix that are near none of its base's.

      Example:  mpirun -n 4 unbraid compare llama-base llama-chat -o chat-comparison
      """)

  @Argument(help: "The base model: a folder with safetensors, or one such file.", completion: .directory)
  var base: String

  @Argument(help: "The fine-tuned model, likewise.", completion: .directory)
  var tuned: String

  @Option(
    parsing: .unconditional, help: "Leading directions of each module that are compared with the base's.")
  var directions = 10

  @Option(
    parsing: .unconditional,
    help: "A direction is an intruder if its cosines with all of the base's are below this.")
  var epsilon = 0.5

  @Flag(name: .customLong("mixed-dtypes"), help: "Accept tensors stored in different types on the two sides.")
  var acceptsMixedTypes = false

  @OptionGroup var modules: SelectionArguments
  @OptionGroup var resourceArguments: ResourceArguments
  @OptionGroup var output: OutputArguments

  var carriesOn: Bool { true }

  func validate() throws {
    do { _ = try request() } catch let error as CompareRequestError {
      throw ValidationError(error.description)
    }
  }

  private func request() throws -> CompareRequest {
    try CompareRequest(
      basePath: tidyPath(base), tunedPath: tidyPath(tuned), selection: modules.selection,
      acceptsMixedTypes: acceptsMixedTypes, directionCount: directions, cosineLimit: epsilon)
  }

  func run(on world: borrowing Communicator) throws {
    let plan = try world.shared { try ComparePlan(request()) }
    try runModules(of: plan, into: output.path, resourceArguments, on: world) { outcome in
      print(ComparisonTable(outcome.record).text)
      printEnd(outcome.report, of: output.path)
    }
  }
}
