import ArgumentParser
import LinearAlgebra
import MPI
import Scheduling

/// `unbraid decompose`: two checkpoints in, or one; a folder of singular triplets out.
struct DecomposeCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "decompose",
    abstract: "Decompose a fine-tune's difference once, for many adapters.",
    discussion: """
      Keeps the leading singular values and vectors of every module's difference, or of one model's own weights if
      TUNED is left out. 'unbraid adapter' makes adapters of the folder in seconds, without the models; NumPy and
      PyTorch read its safetensors: <module>.U, .S and .Vh.

      Example:  mpirun -n 4 unbraid decompose llama-base llama-chat -o chat-triplets --rank 128
      """)

  @Argument(help: "The base model: a folder with safetensors, or one such file.", completion: .directory)
  var base: String

  @Argument(help: "The fine-tuned model, likewise; without it BASE's own weights.", completion: .directory)
  var tuned: String?

  @OptionGroup var arguments: DecompositionArguments

  @Option(help: "What adapters call their base model, such as a hub name (default: BASE's full path).")
  var baseName: String?

  @Option(help: "The largest file with tensors, such as 900M.")
  var shardSize = ByteCount(4 << 30)

  @OptionGroup var resourceArguments: ResourceArguments
  @OptionGroup var output: OutputArguments

  var carriesOn: Bool { true }

  func validate() throws {
    try resourceArguments.validate(with: arguments.method)
    do { _ = try request() } catch let error as RequestError { throw ValidationError(error.description) }
  }

  func run(on world: borrowing Communicator) throws {
    let plan = try world.shared { try ExtractionPlan(decomposing: request()) }
    try withOutput(output.path, on: world, completed: { completedSummary(plan) }) { folder in
      try decompose(plan, into: folder, on: world)
    }
  }

  private func request() throws -> ExtractionRequest {
    try arguments.request(base: base, tuned: tuned, baseName: baseName)
  }

  private func completedSummary(_ plan: ExtractionPlan) -> String? {
    ExtractionReport.completed(at: output.path, plan, version: Unbraid.version)?.summary
  }

  private func decompose(
    _ plan: ExtractionPlan, into folder: OutputFolder?, on world: borrowing Communicator
  ) throws {
    let resources = try resourceArguments.announcedResources(on: world)
    let progress = ProgressPrinter()
    let decomposition = Decomposition(
      plan, resources: resources, version: Unbraid.version, shardSize: shardSize.count)
    let report = try decomposition.run(
      on: world, into: folder, notify: Messages.printNotice, onProgress: progress.show)
    progress.finish()
    if let report { printEnd(report, of: output.path) }
  }
}
