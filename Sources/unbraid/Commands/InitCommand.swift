import Adapters
public import ArgumentParser
import Checkpoints
import Foundation
public import Initialisations
public import LinearAlgebra
import MPI
import Scheduling

/// `unbraid init`: a model in, the beginning of a training out.
struct InitCommand: JobCommand {
  static let configuration = CommandConfiguration(
    commandName: "init",
    abstract: "Prepare a model for training a part of its own decomposition.",
    discussion: """
      pissa, milora, olora and corda take a part of low rank out of every linear layer: the folder is the residual
      model, and its adapter holds the part, which PEFT trains as any adapter. lora-xs writes frozen factors and the
      small matrices between them; svd-training writes U, sigma, V and the residual of every replaced module. Factors
      are rounded before the residual is taken, so that both together are the model to its last rounding.

      unbraid convert turns what was trained into a plain adapter of the original model, or into a model.

      Example:  mpirun -n 4 unbraid init llama-base --as pissa --rank 64 -o llama-pissa
      """)

  @Argument(help: "The model: a folder with safetensors, or one such file.", completion: .directory)
  var model: String

  @Option(
    name: .customLong("as"), help: "The initialisation.")
  var initialisation: InitialisationMethod

  @Option(parsing: .unconditional, help: "Rank of each module's trained part (default: 32).")
  var rank: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Rank as a fraction of a module's shorter side, rounded down (default for svd-training: 0.1)."))
  var rankFraction: Double?

  @OptionGroup var modules: SelectionArguments

  @Option(
    help: ArgumentHelp(
      "corda: safetensors with the second moments of each module's inputs.",
      discussion: """
        Tensors of in × in numbers under the modules' names; deploy/consumers/covariances.py makes it of the file that
        PEFT's preprocess_corda saves.
        """), completion: .file(extensions: ["safetensors"]))
  var covariance: String?

  @Option(
    help:
      "corda: train what the data use most (ipm, instruction-previewed; the default) or least (kpm, knowledge-preserved)."
  )
  var mode: CorDAMode?

  @Option(
    help: ArgumentHelp(
      "pissa, lora-xs, svd-training: how leading triplets are found (default: gram).",
      discussion: """
        gram is exact; krylov finds them many times faster to the tolerance, and the sum with the residual is as exact.
        """))
  var method: TruncatedSVD.Method = .gram

  @Option(
    help:
      "krylov: relative loss of captured energy against the best rank k at which it may stop (default: 0.001)."
  )
  var tolerance: Double?

  @Option(help: "krylov, lora-xs: seed of every random number (default: 0); equal seeds give equal files.")
  var seed: UInt64?

  @Option(
    name: .customLong("factor-dtype"),
    help: "Type of the trained factors (default: f32, for svd-training the model's own).")
  var factorType: FactorType?

  @OptionGroup var resourceArguments: ResourceArguments
  @OptionGroup var output: OutputArguments

  var carriesOn: Bool { true }

  func validate() throws {
    if rank != nil && rankFraction != nil {
      throw ValidationError("give --rank or --rank-fraction, not both")
    }
    do { _ = try request() } catch let error as RequestError {
      throw ValidationError(error.description)
    } catch let error as InitialisationRequestError {
      throw ValidationError(error.description)
    }
  }

  func run(on world: borrowing Communicator) throws {
    let plan = try world.shared { try InitialisationPlan(request()) }
    try runModules(of: plan, into: output.path, resourceArguments, on: world) { record in
      print("\(output.path): \(record.summary)")
    }
  }

  private func request() throws -> InitialisationRequest {
    let fraction = rankFraction ?? (initialisation == .svdTraining && rank == nil ? 0.1 : nil)
    return try InitialisationRequest(
      modelPath: tidyPath(model), method: initialisation,
      rank: fraction.map { .fraction($0) } ?? .number(rank ?? 32), svd: method, tolerance: tolerance,
      seed: seed, selection: modules.selection, factorType: factorType,
      covariancePath: covariance.map(tidyPath), mode: mode)
  }
}

extension InitialisationMethod: ExpressibleByArgument {}
extension CorDAMode: ExpressibleByArgument {}
extension TruncatedSVD.Method: ExpressibleByArgument {}
