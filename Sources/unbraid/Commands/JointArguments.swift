import Adapters
import Checkpoints
public import ArgumentParser
import Foundation
import Scheduling
import WeightSources

/// The options of `joint`, as typed; `request()` resolves them.
struct JointArguments: ParsableArguments {
  @Argument(help: "The base model: a folder with safetensors, or one such file.", completion: .directory)
  var base: String

  @Argument(help: "Fine-tuned models of it, one or more, likewise.", completion: .directory)
  var tuned: [String]

  @Option(help: "tucker: bases on both sides; cp: rank-one components; shared: a basis on one side.")
  var method: JointMethod = .tucker

  @Option(
    parsing: .unconditional, help: "Basis vectors of each side, or components (default: 32; cp: 8).")
  var rank: Int?

  @Option(help: "Basis vectors of outputs and inputs, such as 64,32, instead of --rank; tucker only.")
  var ranks: String?

  @Option(
    parsing: .unconditional, help: "Relative error to stay below, instead of a rank; tucker only.")
  var tolerance: Double?

  @Option(parsing: .unconditional, help: "Basis vectors of the layers (default: layers are left whole).")
  var layerRank: Int?

  @Option(help: "The side of a shared basis: in, out, or auto for that of the residual stream.")
  var side: SideChoice?

  @Option(
    help: ArgumentHelp(
      "Decompose modules whose path matches this regular expression together; may be repeated.",
      discussion: "Without it, modules of one type in all layers form a group."))
  var group: [String] = []

  @OptionGroup var modules: SelectionArguments

  @Option(parsing: .unconditional, help: "Starts of cp on the core (default: 20).")
  var starts: Int?

  @Option(
    parsing: .unconditional,
    help: "Steps of the subspace iteration at most (default: 3, or 12 for groups below 1 GiB).")
  var steps: Int?

  @Option(help: "Seed of every random start; equal seeds give equal files.")
  var seed: UInt64 = 0

  @Flag(name: .customLong("mixed-dtypes"), help: "Accept tensors stored in different types on the two sides.")
  var acceptsMixedTypes = false

  @Flag(help: "Do not compute separate SVDs beside.")
  var noCompare = false

  /// `--side` as typed.
  enum SideChoice: String, CaseIterable, ExpressibleByArgument {
    case `in`, out, auto
  }

  func validate() throws {
    if [rank != nil, ranks != nil, tolerance != nil].count(where: { $0 }) > 1 {
      throw ValidationError("--rank, --ranks and --tolerance exclude each other; give one of them")
    }
    do { _ = try request() } catch let error as JointRequestError { throw ValidationError(error.description) }
  }

  func request() throws -> JointRequest {
    try JointRequest(
      basePath: tidyPath(base), tunedPaths: tuned.map(tidyPath), method: method, size: try size(),
      layerRank: layerRank, side: try sideOfBasis(), groupPatterns: group, selection: modules.selection,
      seed: seed, startCount: starts, stepLimit: steps, acceptsMixedTypes: acceptsMixedTypes,
      comparesSeparateSVDs: !noCompare)
  }

  /// Nil for that of the residual stream, and without `--side`.
  private func sideOfBasis() throws -> JointRequest.Side? {
    switch side {
    case .in: return .in
    case .out: return .out
    case .auto?:
      guard method == .shared else {
        throw JointRequestError.foreignOption("--side", owners: "shared", method: method.rawValue)
      }
      return nil
    case nil: return nil
    }
  }

  private func size() throws -> JointRequest.Size {
    if let tolerance { return .tolerance(tolerance) }
    guard let ranks else {
      let rank = rank ?? (method == .cp ? 8 : 32)
      return .ranks(out: rank, in: rank)
    }
    let numbers = ranks.split(separator: ",").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
    guard numbers.count == 2 else {
      throw ValidationError("--ranks is '\(ranks)'; give two numbers, such as 64,32")
    }
    return .ranks(out: numbers[0], in: numbers[1])
  }
}

extension JointMethod: ExpressibleByArgument {}
