import Adapters
import Checkpoints
public import ArgumentParser
import Foundation
import LinearAlgebra
import Scheduling
import WeightSources

/// The options that `plan` and `extract` share, as typed; `request()` resolves them.
struct ExtractionArguments: ParsableArguments {
  @Argument(help: "The base model: a folder with safetensors, or one such file.", completion: .directory)
  var base: String

  @Argument(help: "The fine-tuned model, likewise.", completion: .directory)
  var tuned: String

  @Option(parsing: .unconditional, help: "Largest rank of each module's factors (default: 32).")
  var rank: Int?

  @Option(parsing: .unconditional, help: "Rank as a fraction of a module's shorter side, instead of --rank.")
  var rankFraction: Double?

  @OptionGroup var modules: SelectionArguments

  @Flag(help: "Decompose embeddings too.")
  var embeddings = false

  @Flag(help: "Decompose the output head too.")
  var head = false

  @Option(help: "Relative loss of captured energy against the best rank k at which an iteration may stop.")
  var tolerance = 1e-3

  @Option(
    help: ArgumentHelp(
      "How a module is decomposed.",
      discussion: """
        auto takes the cheaper of krylov (adaptive, stops by the tolerance) and gram (all eigenvalues of the
        smaller Gram matrix); dense is LAPACK's full SVD. exact is the exact SVD of one module after the other
        over all ranks, for sides beyond a rank's memory; its last bits may differ between numbers of ranks.
        scalapack is ScaLAPACK's own SVD (PSGESVD), for reference: far slower.
        """))
  var method: DecompositionMethod = .auto

  @Option(help: "Seed of every random start; equal seeds give equal files.")
  var seed: UInt64 = 0

  @Option(
    name: .customLong("factor-dtype"),
    help: "Type of the written factors (default: bf16 if both models are bf16, else f32).")
  var factorType: FactorType?

  @Flag(name: .customLong("mixed-dtypes"), help: "Accept tensors stored in different types on the two sides.")
  var acceptsMixedTypes = false

  @Flag(
    help: "Store changed normalisations whole, as PEFT's modules_to_save; vLLM refuses such adapters.")
  var saveNorms = false

  @Flag(
    help: "Store changes of bias of adapted modules, as PEFT's lora_bias; vLLM and llama.cpp refuse them.")
  var bias = false

  @Option(help: "What the adapter calls its base model, such as a hub name (default: BASE's full path).")
  var baseName: String?

  func validate() throws {
    if rank != nil && rankFraction != nil {
      throw ValidationError("give --rank or --rank-fraction, not both")
    }
    do { _ = try request() } catch let error as RequestError { throw ValidationError(error.description) }
  }

  func request() throws -> ExtractionRequest {
    var selection = modules.selection
    selection.takesEmbeddings = embeddings
    selection.takesHead = head
    return try ExtractionRequest(
      basePath: tidyPath(base), tunedPath: tidyPath(tuned),
      baseName: baseName ?? URL(fileURLWithPath: base).standardizedFileURL.path,
      rank: rankFraction.map { .fraction($0) } ?? .number(rank ?? 32), tolerance: tolerance, method: method,
      seed: seed, selection: selection, factorType: factorType, acceptsMixedTypes: acceptsMixedTypes,
      savesNorms: saveNorms, savesBias: bias)
  }
}

extension DecompositionMethod: ExpressibleByArgument {}
extension FactorType: ExpressibleByArgument {}
