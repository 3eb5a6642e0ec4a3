/// How long a job takes on so many machines: the plan's counts over the speeds of a core, a disk and a network.
///
/// Computing, reading and gathering overlap, so the longest of them counts. Computing is simulated unit by unit:
/// teams first, then the common queue, each unit to the rank that is free first, as the dispatcher does it.
public struct ScalingModel: Sendable, Codable, Equatable {
  /// Operations a second of one rank, as modules are priced.
  public var operationsPerSecond: Double
  /// Bytes a second that one machine reads of the models.
  public var readBytesPerSecond: Double
  /// Bytes a second that one rank sends to another.
  public var networkBytesPerSecond: Double
  /// Seconds that an exchange between two ranks takes besides its bytes.
  public var exchangeSeconds: Double
  /// Seconds of launching, planning and publishing.
  public var startSeconds: Double

  /// A model of given speeds.
  public init(
    operationsPerSecond: Double, readBytesPerSecond: Double, networkBytesPerSecond: Double,
    exchangeSeconds: Double, startSeconds: Double
  ) {
    self.operationsPerSecond = operationsPerSecond
    self.readBytesPerSecond = readBytesPerSecond
    self.networkBytesPerSecond = networkBytesPerSecond
    self.exchangeSeconds = exchangeSeconds
    self.startSeconds = startSeconds
  }

  /// Rough figures of a current core, a disk and a 10 Gb/s network: good enough to decide who shares a module.
  public static let rough = ScalingModel(
    operationsPerSecond: 1e11, readBytesPerSecond: 2e9, networkBytesPerSecond: 1e9, exchangeSeconds: 1e-4,
    startSeconds: 0.4)

  /// What a job takes.
  public struct Prediction: Sendable, Codable, Equatable {
    /// Wall-clock seconds.
    public var seconds: Double
    /// Seconds until the last rank has computed its last unit.
    public var computingSeconds: Double
    /// Seconds of reading on each machine.
    public var readingSeconds: Double
    /// Seconds in which the factors reach rank 0.
    public var gatheringSeconds: Double
    /// Bytes that all ranks together send inside teams.
    public var exchangedBytes: Int
    /// Modules that several ranks share.
    public var teamCount: Int
  }

  /// Seconds of one module on so many ranks.
  public func seconds(_ cost: ModuleCost, ranks: Int) -> Double {
    cost.operations / Double(ranks) / operationsPerSecond
      + Double(cost.exchangedBytes(sharedBy: ranks)) / networkBytesPerSecond
      + Double(cost.exchangeCount(sharedBy: ranks)) * exchangeSeconds
  }

  /// The time for modules of these costs, whose factors take `factorByteCount` bytes.
  ///
  /// - Throws: `PlanError.outOfMemory` if a module fits on no team.
  public func predict(
    _ modules: [ModuleCost], factorByteCount: Int, machineCount: Int, ranksPerMachine: Int,
    memoryPerRank: Int = Int.max
  ) throws(PlanError) -> Prediction {
    let rankCount = machineCount * ranksPerMachine
    let costs = modules.sorted { $0.operations > $1.operations }
    let planner = TeamPlanner(rankCount: rankCount, memoryPerRank: memoryPerRank, model: self)
    let teams = try planner.teams(costs.map { ("module", $0) }, unitNumbers: Array(costs.indices))
    var clocks = [Double](repeating: startSeconds, count: rankCount)
    for team in teams {
      let end = (clocks[team.ranks].max() ?? 0) + seconds(costs[team.unit], ranks: team.ranks.count)
      for rank in team.ranks { clocks[rank] = end }
    }
    let shared = Set(teams.map(\.unit))
    for unit in costs.indices where !shared.contains(unit) {
      guard let first = clocks.indices.min(by: { clocks[$0] < clocks[$1] }) else { break }
      clocks[first] += seconds(costs[unit], ranks: 1)
    }
    let computing = clocks.max() ?? 0
    let byteCount = Double(costs.reduce(0) { $0 + $1.byteCount })
    let reading = startSeconds + byteCount / Double(machineCount) / readBytesPerSecond
    let gathering = rankCount > 1 ? startSeconds + Double(factorByteCount) / networkBytesPerSecond : 0
    return Prediction(
      seconds: max(computing, reading, gathering), computingSeconds: computing, readingSeconds: reading,
      gatheringSeconds: gathering,
      exchangedBytes: teams.reduce(0) {
        $0 + $1.ranks.count * costs[$1.unit].exchangedBytes(sharedBy: $1.ranks.count)
      }, teamCount: teams.count)
  }
}
