internal import Adapters
internal import Checkpoints
internal import Foundation
internal import WeightSources

/// What `unbraid verify` compares, worked out from headers alone.
public struct VerificationPlan: Sendable, Codable {
  /// Tensors that the adapter changes.
  let covered: [AdapterCoverage.Covered]
  /// Tensors that it does not.
  let uncovered: [TensorPair]
  /// Sentences on tensors that cannot be compared.
  public let notes: [String]
  /// Every file that is read.
  let inputs: [InputFile]

  /// Reads the headers of both models and of the adapter.
  ///
  /// - Parameters:
  ///   - basePath: The base model.
  ///   - tunedPath: The fine-tune.
  ///   - adapterPath: The adapter's folder.
  ///   - acceptsMixedTypes: Accept tensors stored in different types on the two sides.
  /// - Throws: `CheckpointError`, `SourceError`, `PEFTAdapterError` or `MergeError` with what is wrong.
  public init(basePath: String, tunedPath: String, adapterPath: String, acceptsMixedTypes: Bool) throws {
    let base = try Checkpoint.open(basePath)
    let tuned = try Checkpoint.open(tunedPath)
    let adapter = try PEFTAdapter.open(adapterPath)
    let pairing = try Pairing(base: base, tuned: tuned, acceptsMixedTypes: acceptsMixedTypes)
    let coverage = try AdapterCoverage(
      of: adapter, base: base, configuration: try ModelConfiguration.read(modelPath: basePath),
      pairing: pairing)
    covered = coverage.covered
    uncovered = coverage.uncovered
    // A head that only the fine-tune stores is compared with the table that the base model has for it.
    let compared = Set((covered.map(\.pair) + uncovered).map(\.tuned.name))
    notes =
      pairing.onlyInTuned.filter { !compared.contains($0.name) }.map {
        "'\($0.name)' \($0.shape) is in the fine-tuned model only"
      }
      + pairing.onlyInBase.map { "'\($0.name)' \($0.shape) is in the base model only" }
      + pairing.reshaped.map {
        "'\($0.tuned.name)' is \($0.base.shape) in the base model and \($0.tuned.shape) in the fine-tuned one"
      }
    inputs = try base.inputFiles() + tuned.inputFiles() + adapter.inputFiles()
  }

  /// The plan as bytes for other ranks.
  public func encoded() throws -> [UInt8] { Array(try JSONEncoder().encode(self)) }

  /// The plan that rank 0 has sent.
  public init(decoding bytes: [UInt8]) throws {
    self = try JSONDecoder().decode(VerificationPlan.self, from: Data(bytes))
  }

  /// What the job does, one unit a tensor: those covered, then those not.
  var units: [JobUnit] {
    zip(covered.map(\.pair) + uncovered, costs).map { JobUnit($0, cost: $1.operations) }
  }

  /// The units that ranks share.
  ///
  /// - Throws: `PlanError.outOfMemory` for a tensor that no team of these ranks can hold.
  func teams(for resources: JobResources) throws(PlanError) -> [Team] {
    let planner = TeamPlanner(
      rankCount: resources.workerCount, memoryPerRank: resources.memoryPerRank,
      allowsTeams: resources.allowsTeams)
    let names = covered.map(\.name) + uncovered.map(\.name)
    return try planner.teams(Array(zip(names, costs)), unitNumbers: Array(names.indices))
      .map { $0.shifted(by: resources.rankCount - resources.workerCount) }
  }

  private var costs: [ModuleCost] { covered.map(\.cost) + uncovered.map { ModuleCost(measuring: $0) } }
}

extension AdapterCoverage.Covered {
  fileprivate var cost: ModuleCost {
    guard case .factors(let module, _, _) = addition else { return ModuleCost(measuring: pair) }
    return ModuleCost(
      rows: pair.shape[0], columns: pair.shape[1], removing: module.rank,
      byteCount: pair.byteCount + module.byteCount)
  }
}

extension ModuleCost {
  /// The price of a tensor that is read block by block and not kept.
  fileprivate init(measuring pair: TensorPair) {
    self.init(rows: 1, columns: pair.shape.reduce(1, *), removing: 0, byteCount: pair.byteCount)
    matrixBytes = 0
    largestTeam = 1
  }
}
