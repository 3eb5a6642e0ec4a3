public import Adapters
internal import Foundation
public import MPI
public import WeightSources

/// What `unbraid plan` tells: the plan, and how much every tensor changed.
public struct Survey: Sendable, Codable {
  /// One entry a module to decompose, by name.
  public let modules: [Module]
  /// One entry a tensor that is left out, by name.
  public let leftOut: [LeftOutRecord]
  /// Sentences of the plan.
  public let notes: [String]
  /// Bytes to read from both models.
  public let byteCount: Int
  /// Bytes of the factors at full rank.
  public let adapterByteCount: Int
  /// Bytes of memory that a rank needs.
  public let memoryPerRank: Int
  /// The number of ranks the time is for.
  public let rankCount: Int
  /// This machine's speed.
  public let calibration: Calibration
  /// Expected wall-clock seconds.
  public let expectedSeconds: Double

  /// A module to decompose.
  public struct Module: Sendable, Codable {
    /// Its path in the checkpoint.
    public let module: String
    /// Linear, embedding or head.
    public let role: ModuleRole
    /// Rows and columns.
    public let shape: [Int]
    /// The rank it would get.
    public let rank: Int
    /// What it takes.
    public let cost: ModuleCost
    /// The ranks that work on it together.
    public let teamSize: Int
    /// How much it changed; nil if only headers were read.
    public let difference: DifferenceMeasure?
  }

  /// Collective: measures every pair of a plan over all ranks, unless `headersOnly`.
  /// - Returns: On rank 0 the survey; elsewhere nil.
  public static func make(
    _ plan: ExtractionPlan, on world: borrowing Communicator, resources: JobResources, headersOnly: Bool,
    onProgress: (Int, Int) -> Void
  ) throws -> Survey? {
    let work = SurveyWork(plan)
    var measures: [Int: DifferenceMeasure] = [:]
    var finishedCount = 0
    if !headersOnly {
      let units = work.pairs.map { JobUnit($0, cost: Double($0.byteCount)) }
      let job = DistributedJob(work, units: units, headCoordinates: resources.headCoordinates)
      _ = try job.run(on: world) { unit, bytes in
        // Nil for a tensor that holds no numbers.
        measures[unit] = try JSONDecoder().decode(DifferenceMeasure?.self, from: Data(bytes))
        finishedCount += 1
        onProgress(finishedCount, work.pairs.count)
      }
    }
    guard world.rank == 0 else { return nil }
    return Survey(
      plan, measures: measures, calibration: try Calibration(for: plan),
      teams: try plan.teams(for: resources),
      rankCount: world.size)
  }

  private init(
    _ plan: ExtractionPlan, measures: [Int: DifferenceMeasure], calibration: Calibration, teams: [Team],
    rankCount: Int
  ) {
    let sizes = Dictionary(uniqueKeysWithValues: teams.map { (plan.units[$0.unit], $0.ranks.count) })
    modules = plan.modules.indices.map { index in
      Module(
        module: plan.modules[index].name, role: plan.modules[index].role,
        shape: plan.modules[index].pair.shape,
        rank: plan.layout.modules[index].largestRank, cost: plan.costs[index],
        teamSize: sizes[.decompose(module: index)] ?? 1, difference: measures[index])
    }
    leftOut = plan.leftOut.indices.map {
      LeftOutRecord(plan.leftOut[$0], difference: measures[plan.modules.count + $0])
    }
    notes = plan.notes
    byteCount = plan.byteCount
    adapterByteCount = plan.layout.largestByteCount
    memoryPerRank = plan.memoryPerRank(teams: teams, rankCount: rankCount)
    self.rankCount = rankCount
    self.calibration = calibration
    expectedSeconds = calibration.expectedSeconds(plan, rankCount: rankCount)
  }
}

/// Measures pairs: the modules of a plan, then what it leaves out.
private struct SurveyWork: UnitWork {
  let pairs: [TensorPair]
  private let reader = SoleReader()

  init(_ plan: ExtractionPlan) {
    pairs = plan.modules.map(\.pair) + plan.leftOut.map(\.pair)
  }

  func load(_ unit: Int, group: RankGroup) throws -> DifferenceMeasure? {
    pairs[unit].isNumeric ? try reader.deltas.measure(pairs[unit]) : nil
  }

  func compute(_ unit: Int, _ loaded: DifferenceMeasure?, group: RankGroup) throws -> [UInt8] {
    Array(try JSONEncoder().encode(loaded))
  }
}
