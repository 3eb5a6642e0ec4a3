import Adapters
public import ArgumentParser
import Scheduling

/// The options that `plan` and `extract` share, as typed; `request()` resolves them.
struct ExtractionArguments: ParsableArguments {
  @Argument(help: "The base model: a folder with safetensors, or one such file.", completion: .directory)
  var base: String

  @Argument(help: "The fine-tuned model, likewise.", completion: .directory)
  var tuned: String

  @OptionGroup var decomposition: DecompositionArguments

  @Option(
    name: .customLong("factor-dtype"),
    help: "Type of the written factors (default: bf16 if both models are bf16, else f32).")
  var factorType: FactorType?

  @Flag(
    help: "Store changed normalisations whole, as PEFT's modules_to_save; vLLM refuses such adapters.")
  var saveNorms = false

  @Flag(
    help: "Store changes of bias of adapted modules, as PEFT's lora_bias; vLLM and llama.cpp refuse them.")
  var bias = false

  @Option(help: "What the adapter calls its base model, such as a hub name (default: BASE's full path).")
  var baseName: String?

  func validate() throws {
    do { _ = try request() } catch let error as RequestError { throw ValidationError(error.description) }
  }

  func request() throws -> ExtractionRequest {
    var request = try decomposition.request(base: base, tuned: tuned, baseName: baseName)
    request.factorType = factorType
    request.savesNorms = saveNorms
    request.savesBias = bias
    return request
  }
}

extension FactorType: ExpressibleByArgument {}
