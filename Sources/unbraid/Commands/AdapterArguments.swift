import Adapters
import ArgumentParser

/// The options of an adapter's files, as typed.
struct AdapterArguments: ParsableArguments {
  @Option(
    name: .customLong("factor-dtype"),
    help: "Type of the written factors (default: bf16 if both models are bf16, else f32; f32 of a joint one)."
  )
  var factorType: FactorType?

  @Option(
    parsing: .unconditional,
    help: "alpha of every module; the factors make up for it, and their product stays (default: the rank).")
  var alpha: Double?

  @Option(help: "What the adapter calls its base model (default: as the decomposition has it).")
  var baseName: String?

  @Flag(
    help: ArgumentHelp(
      "Store changed normalisations whole, as PEFT's modules_to_save; vLLM refuses such adapters.",
      discussion: "--layers and --drop-layers choose among them; --targets, --include and --exclude do not."))
  var saveNorms = false

  @Flag(
    help: "Store changes of bias of adapted modules, as PEFT's lora_bias; vLLM and llama.cpp refuse them.")
  var bias = false

  /// Which of those were given that only decompositions module by module have a use for.
  var givenForTriplets: [String] {
    namesGiven([("--alpha", alpha != nil), ("--save-norms", saveNorms), ("--bias", bias)])
  }

  func validate() throws {
    if let alpha, !(alpha > 0 && alpha.isFinite) {
      throw ValidationError("--alpha is \(alpha); give a number above 0")
    }
  }
}
