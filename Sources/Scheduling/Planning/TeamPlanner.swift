internal import LinearAlgebra

/// Decides which modules are too big or too slow for one rank, and which ranks share them.
///
/// A module gets the smallest team that holds it in memory and takes it no longer than an even share of all work
/// (two-phase scheduling of moldable tasks, after Turek, Wolf and Yu, 1992); teams are then dealt out, the dearest
/// first, to the neighbours that have least to do. The result of a module is the same for every team.
package struct TeamPlanner {
  let rankCount: Int
  /// Bytes of memory that a rank may use.
  let memoryPerRank: Int
  /// Whether ranks may share a module at all.
  let allowsTeams: Bool
  /// Speeds of a core and a network: they decide who shares, not what comes out.
  package let model: ScalingModel
  /// Shorter modules are not worth an agreement between ranks.
  private static let shortestShared = 0.02
  /// More ranks than these never share a module.
  private static let largestTeam = 16

  package init(
    rankCount: Int, memoryPerRank: Int, allowsTeams: Bool = true, model: ScalingModel = .rough
  ) {
    self.rankCount = rankCount
    self.allowsTeams = allowsTeams
    self.memoryPerRank = memoryPerRank
    self.model = model
  }

  /// The teams for modules of these costs, whose units are numbered by `unitNumbers`.
  ///
  /// - Throws: `PlanError.outOfMemory` for a module that no team of these ranks can hold.
  package func teams(_ modules: [(name: String, cost: ModuleCost)], unitNumbers: [Int]) throws(PlanError)
    -> [Team]
  {
    let evenShare = modules.reduce(0) { $0 + model.seconds($1.cost, ranks: 1) } / Double(rankCount)
    var sizes: [Int] = []
    for module in modules { sizes.append(try leastSize(toHold: module)) }
    // While one module is computed the next is read, whichever that is.
    let largestShare = zip(modules, sizes).map { $0.cost.matrixBytes / $1 }.max() ?? 0
    var wanted: [(unit: Int, size: Int, seconds: Double)] = []
    for (index, module) in modules.enumerated() {
      let size = max(
        try leastSize(toHold: module, beside: largestShare), leastSize(toEnd: module.cost, within: evenShare))
      if size > 1 { wanted.append((unitNumbers[index], size, model.seconds(module.cost, ranks: size))) }
    }
    return placed(wanted.sorted { $0.unit < $1.unit })
  }

  private func sizes(for cost: ModuleCost) -> [Int] {
    [1, 2, 4, 8, Self.largestTeam].filter {
      $0 == 1 || (allowsTeams && $0 <= rankCount && $0 <= cost.largestTeam)
    }
  }

  /// The smallest team that holds a module beside a share of the next: of its own size if none is given.
  private func leastSize(
    toHold module: (name: String, cost: ModuleCost), beside nextBytes: Int? = nil
  ) throws(PlanError) -> Int {
    let cost = module.cost
    let sizes = sizes(for: cost)
    func memory(_ size: Int) -> Int {
      cost.memory(sharedBy: size, besideShareOf: max(nextBytes ?? 0, cost.matrixBytes / size))
    }
    if let size = sizes.first(where: { memory($0) <= memoryPerRank }) { return size }
    let largest = sizes.last ?? 1
    throw .outOfMemory(
      module: module.name, neededBytes: memory(largest), rankCount: largest, allowedBytes: memoryPerRank,
      moreRanksHelp: allowsTeams && 2 * largest <= min(cost.largestTeam, Self.largestTeam))
  }

  private func leastSize(toEnd cost: ModuleCost, within share: Double) -> Int {
    let alone = model.seconds(cost, ranks: 1)
    guard alone > share, alone > Self.shortestShared else { return 1 }
    let sizes = sizes(for: cost)
    let fastest = sizes.min { model.seconds(cost, ranks: $0) < model.seconds(cost, ranks: $1) } ?? 1
    return sizes.first { $0 <= fastest && model.seconds(cost, ranks: $0) <= share } ?? fastest
  }

  private func placed(_ wanted: [(unit: Int, size: Int, seconds: Double)]) -> [Team] {
    var load = [Double](repeating: 0, count: rankCount)
    return wanted.map { unit, size, seconds in
      let places = stride(from: 0, through: rankCount - size, by: size).map { $0..<$0 + size }
      let loads = places.map { load[$0].max() ?? 0 }
      let place = places[loads.indices.min { loads[$0] < loads[$1] } ?? 0]
      let end = (load[place].max() ?? 0) + seconds
      for rank in place { load[rank] = end }
      return Team(unit: unit, ranks: place)
    }
  }
}

/// Why a plan cannot be carried out on these ranks.
public enum PlanError: Error, CustomStringConvertible, Equatable, Sendable {
  /// A module does not fit, even shared by as many ranks as there are or as can share it.
  case outOfMemory(
    module: String, neededBytes: Int, rankCount: Int, allowedBytes: Int, moreRanksHelp: Bool)
  /// The one rank was told only to coordinate.
  case noWorkers

  /// One sentence with both numbers and the remedy.
  public var description: String {
    switch self {
    case .noWorkers:
      "--head-coordinates leaves the work to the other ranks, and this job has 1 rank; start 2 or more"
    case .outOfMemory(let module, let needed, let ranks, let allowed, let moreRanksHelp):
      "module '\(module)' needs \(megabytes(needed)) MB a rank when \(ranks) \(ranks == 1 ? "rank works" : "ranks work") on it, "
        + "--memory-per-rank allows \(megabytes(allowed)) MB; \(moreRanksHelp ? "start more ranks, " : "")allow more memory, or take a smaller rank"
    }
  }

  private func megabytes(_ count: Int) -> Int { (count + 999_999) / 1_000_000 }
}
