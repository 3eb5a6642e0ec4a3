import Adapters
import ArgumentParser
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

  @OptionGroup var projection: ProjectionArguments

  func run(on world: borrowing Communicator) throws {
    try withOutput(output.path, on: world, completed: { nil }) { folder in
      guard let folder else { return }
      let (count, notes) = try folder.publishing { try write(to: folder.contentsPath) }
      for note in notes { Messages.printNotice("note: \(note)") }
      print("\(output.path): for \(profile.rawValue), of \(count) updates")
    }
  }

  /// Writes the consumer's files; returns of how many updates, and sentences for a person.
  private func write(to path: String) throws -> (Int, [String]) {
    let adapter = try PEFTAdapter.open(tidyPath(adapter))
    let model = try model(of: adapter)
    let (source, notes) = try adapterSource(adapter, projection)
    let export = ProfileExport(source, for: profile, model: model, factorType: factorType)
    return (adapter.modules.count, try notes + export.write(to: path))
  }

  /// Facts of the base model; nil if they are not there and the profile can do without.
  private func model(of adapter: PEFTAdapter) throws -> ConsumerModel? {
    let named = adapter.configuration.baseModelNameOrPath
    if let base, try ConsumerModel.read(modelPath: base) == nil {
      throw ProfileError.noModel(adapter: adapter.path, named: base)
    }
    return try consumerModel(at: base ?? named, adapter: adapter.path, for: profile)
  }
}
