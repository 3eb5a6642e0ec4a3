import Analysis
import ArgumentParser
import Checkpoints
import Foundation
import Scheduling

/// The options of `scan`, as typed; `request()` resolves them.
struct ScanArguments: ParsableArguments {
  @Argument(
    help: "The model: a folder with safetensors, or one such file; with TUNED, the base model.",
    completion: .directory)
  var model: String?

  @Argument(
    help: "A fine-tuned model, whose difference from MODEL is scanned; nothing is selected then.",
    completion: .directory)
  var tuned: String?

  @Option(help: "Select again from a file of results instead, this program's or the published tool's.")
  var from: String?

  @Option(
    parsing: .unconditional,
    help: "Percentage of the modules of each type to select, rounded down to whole modules (default: 50).")
  var topPercent: Int?

  @Option(
    help: ArgumentHelp(
      "Types of modules to scan, separated by commas, such as mlp.down_proj,v_proj.",
      discussion:
        "Without it, all linear layers; with --compat, all modules with a weight, as are ticked at first."))
  var modules: String?

  @Flag(
    help: ArgumentHelp(
      "Modules, types and numbers as the published tool has them.",
      discussion: """
        Types match any part of a module's name, each expert is a type of its own, vectors are scanned, numbers are
        rounded to single precision, and infinities are written as Infinity, which is no JSON.
        """))
  var compat = false

  @Flag(name: .customLong("mixed-dtypes"), help: "Accept tensors stored in different types on the two sides.")
  var acceptsMixedTypes = false

  @Option(help: "What the files call the model, such as a hub name (default: MODEL, or TUNED, as typed).")
  var name: String?

  func validate() throws {
    if (model == nil) == (from == nil) {
      throw ValidationError("give the folder of a model, or --from with a file of results")
    }
    if from != nil && (modules != nil || compat || name != nil) {
      throw ValidationError(
        "--from takes modules, types and names from the file; leave out --modules, --compat and --name")
    }
    if tuned != nil && (compat || topPercent != nil) {
      throw ValidationError(
        "the published tool knows no differences, and none of their modules is selected; leave out --compat and "
          + "--top-percent, or TUNED")
    }
    if tuned == nil && acceptsMixedTypes {
      throw ValidationError("--mixed-dtypes is for two models; leave it out, or give TUNED")
    }
    if let modules, types(modules).isEmpty {
      throw ValidationError("--modules names no type; give types such as mlp.down_proj")
    }
    do { _ = try request() } catch let error as ScanRequestError { throw ValidationError(error.description) }
  }

  /// What to scan; with `--from`, the percentage alone counts.
  func request() throws -> ScanRequest {
    let path = (tuned ?? model).map(tidyPath) ?? ""
    let base = tuned == nil ? nil : model
    return try ScanRequest(
      modelPath: path,
      base: base.map { ScanRequest.Base(path: tidyPath($0), acceptsMixedTypes: acceptsMixedTypes) },
      modelName: name ?? path, types: modules.map(types) ?? [],
      topPercent: tuned == nil ? selectedPercent : nil, isCompatible: compat)
  }

  /// The percentage of each type's modules that is selected, of one model.
  var selectedPercent: Int { topPercent ?? 50 }

  private func types(_ text: String) -> [String] {
    text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
  }
}
