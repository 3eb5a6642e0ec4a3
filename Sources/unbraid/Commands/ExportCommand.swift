import Adapters
public import ArgumentParser
import Checkpoints
import Foundation
import MPI
import Scheduling

/// `unbraid export`: an adapter in the layout of whoever is going to load it.
struct ExportCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write an adapter for PEFT, vLLM, llama.cpp or MLX.",
    discussion: """
      Reads the folder of a LoRA adapter in PEFT's format, whoever made it, and writes what the consumer loads. What
      it does not get is said on standard error.

      peft       ranks and scales of their own, alpha / rank everywhere, everything kept
      vllm       one rank, padded with zeros to one that vLLM makes room for; also for SGLang and TGI
      llama.cpp  adapter.gguf
      mlx        adapters.safetensors and adapter_config.json of mlx-lm
      all        all of them in one folder: vLLM's files, adapter.gguf, and mlx/

      Example:  unbraid export chat-adapter --for llama.cpp -o chat-gguf --base llama-base
      """)

  @Argument(help: "The folder of a LoRA adapter in PEFT's format.", completion: .directory)
  var adapter: String

  @Option(name: .customLong("for"), help: "Who is going to load it.")
  var profile: ConsumerProfile

  @OptionGroup var output: OutputArguments

  @Option(
    help: "The base model's folder, of which config.json is read (default: where the adapter says it is).",
    completion: .directory)
  var base: String?

  @Option(
    name: .customLong("factor-dtype"),
    help:
      "Type of the written factors (default: the adapter's; f32 for llama.cpp, or if scales must go into them)."
  )
  var factorType: FactorType?

  @Option(
    help: ArgumentHelp(
      "Take out what another adapter or decomposition holds: its folder.",
      discussion: """
        With P and Q the orthogonal projections onto what B's update of a module writes to and reads from, A's update
        D becomes (I - P) D (I - Q): none of B's directions is written to or read from any more, to the rounding of
        the factors, which are written in f32 unless told otherwise. Modules that B does not change stay as they are.
        """), completion: .directory)
  var projectOut: String?

  @Option(help: "On which side: out takes P alone, in takes Q alone.")
  var projectSide = ProjectionSide.both

  func run(on world: borrowing Communicator) throws {
    try withOutput(output.path, on: world, completed: { nil }) { folder in
      guard let folder else { return }
      defer { folder.discard() }
      let adapter = try PEFTAdapter.open(tidyPath(adapter))
      let model = try model(of: adapter)
      try folder.clearContents()
      let (source, notes) = try source(of: adapter)
      let export = ProfileExport(source, for: profile, model: model, factorType: factorType)
      let sentences = try notes + export.write(to: folder.contentsPath)
      try folder.publish()
      for sentence in sentences { Messages.printNotice("note: \(sentence)") }
      print("\(output.path): \(adapter.modules.count) updates for \(profile.rawValue)")
    }
  }

  /// The adapter's updates, without those of another one if that was asked for, and what to say about it.
  private func source(of adapter: PEFTAdapter) throws -> (any UpdateSource, [String]) {
    let source = try PEFTUpdateSource(adapter)
    guard let projectOut else { return (source, []) }
    let projection = try Projection(
      removing: try openUpdates(projectOut), from: try openUpdates(adapter.path), on: projectSide)
    return (
      try ProjectedSource(source, projection),
      ["--project-out changes \(projection.affected.count) of \(adapter.modules.count) modules"]
    )
  }

  /// Facts of the base model; nil if they are not there and the profile can do without.
  private func model(of adapter: PEFTAdapter) throws -> ConsumerModel? {
    let named = adapter.configuration.baseModelNameOrPath
    if let path = base ?? named, let model = try ConsumerModel.read(modelPath: path) { return model }
    guard base == nil, !profile.needsModel else {
      throw ProfileError.noModel(adapter: adapter.path, named: base ?? named)
    }
    return nil
  }
}

extension ConsumerProfile: ExpressibleByArgument {}
extension ProjectionSide: ExpressibleByArgument {}
