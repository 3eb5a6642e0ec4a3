public import ArgumentParser
import Checkpoints
import Foundation
import LinearAlgebra
import Scheduling
import WeightSources

/// The options of every command that decomposes module by module, as typed; `request()` resolves them.
struct DecompositionArguments: ParsableArguments {
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

  @Flag(name: .customLong("mixed-dtypes"), help: "Accept tensors stored in different types on the two sides.")
  var acceptsMixedTypes = false

  func validate() throws {
    if rank != nil && rankFraction != nil {
      throw ValidationError("give --rank or --rank-fraction, not both")
    }
  }

  /// What is asked for of a pair of models, or of one without the other; what concerns adapters alone is left out.
  func request(base: String, tuned: String?, baseName: String?) throws -> ExtractionRequest {
    var selection = modules.selection
    selection.takesEmbeddings = embeddings
    selection.takesHead = head
    return try ExtractionRequest(
      basePath: tuned == nil ? nil : tidyPath(base), tunedPath: tidyPath(tuned ?? base),
      baseName: baseName ?? URL(fileURLWithPath: base).standardizedFileURL.path,
      rank: rankFraction.map { .fraction($0) } ?? .number(rank ?? 32), tolerance: tolerance, method: method,
      seed: seed, selection: selection, factorType: nil, acceptsMixedTypes: acceptsMixedTypes,
      savesNorms: false, savesBias: false)
  }
}

extension DecompositionMethod: ExpressibleByArgument {}
