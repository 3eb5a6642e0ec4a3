import LinearAlgebra
import Scheduling
import Testing

@Suite struct TeamPlannerTests {
  private func module(_ rows: Int, _ columns: Int, name: String = "m") -> (name: String, cost: ModuleCost) {
    (name, ModuleCost(rows: rows, columns: columns, rank: 32, method: .krylov, byteCount: rows * columns * 4))
  }

  @Test("many like modules are shared by nobody")
  func manyModules() throws {
    let modules = Array(repeating: module(4096, 4096), count: 100)
    let teams = try TeamPlanner(rankCount: 8, memoryPerRank: .max).teams(
      modules, unitNumbers: Array(modules.indices))
    #expect(teams.isEmpty)
  }

  @Test("one module that would keep the others waiting is shared, as far as it takes")
  func oneLargeModule() throws {
    let modules = [module(131_072, 8192)] + Array(repeating: module(4096, 4096), count: 20)
    let planner = TeamPlanner(rankCount: 8, memoryPerRank: .max)
    let teams = try planner.teams(modules, unitNumbers: Array(modules.indices))
    #expect(teams.count == 1 && teams[0].unit == 0)
    let share = modules.reduce(0) { $0 + planner.model.seconds($1.cost, ranks: 1) } / 8
    #expect(
      planner.model.seconds(modules[0].cost, ranks: teams[0].ranks.count) <= share
        || teams[0].ranks.count == 8)
  }

  @Test(
    "teams are powers of two of neighbours, dealt to those with least to do", arguments: [2, 3, 4, 7, 16])
  func places(rankCount: Int) throws {
    let modules = Array(repeating: module(28_672, 8192), count: 5)
    let half = modules[0].cost.memory(sharedBy: 2)
    let teams = try TeamPlanner(rankCount: rankCount, memoryPerRank: half).teams(
      modules, unitNumbers: Array(modules.indices))
    #expect(teams.map(\.unit) == Array(0..<5))
    for team in teams {
      #expect(team.ranks.count >= 2 && team.ranks.count.nonzeroBitCount == 1)
      #expect(team.ranks.lowerBound % team.ranks.count == 0 && team.ranks.upperBound <= rankCount)
    }
    if rankCount >= 4 { #expect(Set(teams.map(\.ranks)).count > 1) }
  }

  @Test("a module with a large workspace is shared if the one read beside it would not fit")
  func neighbours() throws {
    var (first, second) = (module(4096, 4096).cost, module(4096, 4096).cost)
    (first.matrixBytes, first.workspaceBytes) = (100_000_000, 1_000_000_000)
    (second.matrixBytes, second.workspaceBytes) = (550_000_000, 0)
    let limit = ModuleCost.processBytes + 1_620_000_000
    let teams = try TeamPlanner(rankCount: 4, memoryPerRank: limit).teams(
      [("first", first), ("second", second)], unitNumbers: [0, 1])
    let sizes = Dictionary(uniqueKeysWithValues: teams.map { ($0.unit, $0.ranks.count) })
    let shares = [first.matrixBytes / (sizes[0] ?? 1), second.matrixBytes / (sizes[1] ?? 1)]
    #expect(ModuleCost.processBytes + shares[0] + shares[1] + first.workspaceBytes <= limit)
  }

  @Test("a module that no team can hold is refused with its name and both numbers")
  func outOfMemory() {
    let large = module(28_672, 8192, name: "large")
    #expect(
      throws: PlanError.outOfMemory(
        module: "large", neededBytes: large.cost.memory(sharedBy: 2), rankCount: 2, allowedBytes: 200 << 20,
        moreRanksHelp: true)
    ) {
      try TeamPlanner(rankCount: 2, memoryPerRank: 200 << 20).teams([large], unitNumbers: [0])
    }
    // More than sixteen never share one.
    #expect(
      throws: PlanError.outOfMemory(
        module: "large", neededBytes: large.cost.memory(sharedBy: 16), rankCount: 16, allowedBytes: 1 << 20,
        moreRanksHelp: false)
    ) {
      try TeamPlanner(rankCount: 40, memoryPerRank: 1 << 20).teams([large], unitNumbers: [0])
    }
  }
}

@Suite struct ScalingModelTests {
  private let costs = (0..<64).map { _ in
    ModuleCost(rows: 4096, columns: 4096, rank: 32, method: .krylov, byteCount: 4096 * 4096 * 4)
  }
  private let model = ScalingModel(
    operationsPerSecond: 1e11, readBytesPerSecond: 1e12, networkBytesPerSecond: 1e12, exchangeSeconds: 0,
    startSeconds: 0)

  @Test("like modules on as many ranks as divide them scale exactly", arguments: [1, 2, 4, 8])
  func linear(ranks: Int) throws {
    let alone = try model.predict(costs, factorByteCount: 0, machineCount: 1, ranksPerMachine: 1)
    let many = try model.predict(costs, factorByteCount: 0, machineCount: 1, ranksPerMachine: ranks)
    #expect(abs(many.computingSeconds * Double(ranks) / alone.computingSeconds - 1) < 1e-12)
  }

  @Test("a slow disk bounds one machine and is shared out over several")
  func reading() throws {
    var slow = model
    slow.readBytesPerSecond = 1e8
    let one = try slow.predict(costs, factorByteCount: 0, machineCount: 1, ranksPerMachine: 16)
    let four = try slow.predict(costs, factorByteCount: 0, machineCount: 4, ranksPerMachine: 16)
    #expect(abs(one.seconds - 64 * 4096 * 4096 * 4 / 1e8) < 1e-9)
    #expect(abs(four.seconds * 4 - one.seconds) < 1e-9)
  }
}
