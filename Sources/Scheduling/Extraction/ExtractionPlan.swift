internal import Foundation
public import Adapters
public import Checkpoints
public import LinearAlgebra
public import WeightSources

/// Everything that all ranks need to know to extract an adapter, made by one rank from the headers alone.
///
/// Whatever can be wrong with names, shapes, types and options is found while it is made, before any
/// arithmetic. Locations of tensors are in it, so the other ranks parse no header.
public struct ExtractionPlan: Sendable, Codable {
  /// What was asked for.
  public let request: ExtractionRequest
  /// The modules to decompose, by name.
  public let modules: [ModuleSelection.SelectedModule]
  /// The price of each module.
  public let costs: [ModuleCost]
  /// Where each module's factors go; parallel to `modules`.
  public let layout: AdapterLayout
  /// The pairs that are not decomposed.
  public let leftOut: [ModuleSelection.LeftOut]
  /// What else a person should know: tensors on one side only, grown vocabularies, clamped ranks.
  public internal(set) var notes: [String]
  /// What the model is used for, as PEFT calls it.
  public let taskType: String?
  /// Whether linear layers are stored transposed.
  public let usesConv1D: Bool
  /// The paths of all modules that own a tensor, as PEFT sees them.
  public let allModulePaths: [String]
  /// Changes of bias that could be stored: the module's index, and the bias's values on both sides.
  public let biases: [Int: TensorPair]
  /// The files of both models, as they were when this was made.
  public let inputs: [InputFile]
  /// The work, in the order in which it is given out: the dearest first.
  public let units: [WorkUnit]
  /// What each module's decomposition is handed over as.
  public let product: Product

  /// What a module's decomposition is handed over as.
  public enum Product: String, Sendable, Codable {
    /// An adapter's factors, rounded.
    case factors
    /// The same, with what every selection of their triplets would leave.
    case certifiedFactors
    /// U, S and Vh as they are.
    case triplets
  }

  /// One thing that one rank does.
  public enum WorkUnit: Sendable, Codable, Hashable {
    /// Decompose a module's difference.
    case decompose(module: Int)
    /// See how much a left-out tensor changed.
    case measure(leftOut: Int)
  }

  /// Bytes to read from both models.
  public var byteCount: Int {
    costs.reduce(0) { $0 + $1.byteCount } + leftOut.reduce(0) { $0 + $1.pair.byteCount }
  }

  /// The units that several ranks share when the job runs with these resources.
  ///
  /// - Throws: `PlanError.outOfMemory` for a module that does not fit.
  public func teams(for resources: JobResources) throws(PlanError) -> [Team] {
    if request.method.isCollective { return [] }
    var numbers = [Int](repeating: 0, count: modules.count)
    for (number, unit) in units.enumerated() {
      if case .decompose(let module) = unit { numbers[module] = number }
    }
    let planner = TeamPlanner(
      rankCount: resources.workerCount, memoryPerRank: resources.memoryPerRank,
      allowsTeams: resources.allowsTeams)
    return try planner.teams(zip(modules, costs).map { ($0.name, $1) }, unitNumbers: numbers)
      .map { $0.shifted(by: resources.rankCount - resources.workerCount) }
  }

  /// Bytes a rank needs at most: its shares of the two largest differences, and the workspace of one module.
  ///
  /// Methods over all ranks hold one module at a time, of which every rank has an even part.
  public func memoryPerRank(teams: [Team], rankCount: Int) -> Int {
    if request.method.isCollective {
      let largest = costs.map { $0.matrixBytes + $0.workspaceBytes }.max() ?? 0
      return ModuleCost.processBytes + largest / rankCount
    }
    let sizes = Dictionary(uniqueKeysWithValues: teams.map { ($0.unit, $0.ranks.count) })
    var shares: [Int] = []
    for (number, unit) in units.enumerated() {
      if case .decompose(let module) = unit {
        shares.append(costs[module].matrixBytes / (sizes[number] ?? 1))
      }
    }
    let largest = shares.sorted(by: >).prefix(2).reduce(0, +)
    return ModuleCost.processBytes + largest + (costs.map(\.workspaceBytes).max() ?? 0)
  }

  /// The stream that a module's random start is drawn from: the same on whichever rank.
  public func svdOptions(forModule index: Int) -> TruncatedSVD.Options {
    TruncatedSVD.Options(
      rank: layout.modules[index].largestRank, tolerance: request.tolerance,
      method: costs[index].method.truncated ?? .gram,
      random: CounterRandom(seed: request.seed, name: modules[index].name))
  }
}

extension ExtractionPlan {
  /// The same plan with one more thing to know about it.
  package func noting(_ sentence: String) -> ExtractionPlan {
    var plan = self
    plan.notes.append(sentence)
    return plan
  }

  /// The plan as rank 0 sends it.
  public func encoded() throws -> [UInt8] { Array(try JSONEncoder().encode(self)) }

  /// The plan as the other ranks receive it.
  public init(decoding bytes: [UInt8]) throws {
    self = try JSONDecoder().decode(ExtractionPlan.self, from: Data(bytes))
  }
}
