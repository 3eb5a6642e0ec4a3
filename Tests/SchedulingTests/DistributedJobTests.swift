import Foundation
import Scheduling
import TestSupport
import Testing

extension SchedulingSuite {
  /// Jobs of sleeping units: ranks wait for each other only where the job makes them.
  @Suite struct DistributedJobTests {
    /// Where the ranks share memory, and where each is reached by messages alone.
    enum Memory: CaseIterable {
      case shared, separate

      var environment: [String: String] { self == .shared ? [:] : ["OMPI_MCA_osc": "^sm"] }
    }

    @Test("200 equal units on 4 ranks: waiting below 2 %", arguments: Memory.allCases)
    func waiting(memory: Memory) throws {
      let outcome = try run(SleepingJob(seconds: Array(repeating: 0.05, count: 200)), ranks: 4, memory)
      #expect(outcome.waitingShare < 0.02, "\(outcome.ranks)")
      #expect(outcome.ranks.allSatisfy { abs($0.unitCount - 50) <= 5 })
      #expect(outcome.ranks.reduce(0) { $0 + $1.bytesRead } == 200_000)
    }

    @Test(
      "half of the ranks at half the speed end within 10 % of the ideal split", arguments: Memory.allCases)
    func heterogeneous(memory: Memory) throws {
      let job = SleepingJob(seconds: Array(repeating: 0.02, count: 200), slowRanks: [2, 3])
      let outcome = try run(job, ranks: 4, memory)
      let ideal = 200 * 0.02 / 3
      #expect(outcome.seconds < 1.1 * ideal)
      #expect(outcome.ranks.allSatisfy { abs($0.unitCount - ($0.mpiRank < 2 ? 67 : 33)) <= 6 })
      let stolen = outcome.ranks.map { $0.stolenInsideNode + $0.stolenBetweenNodes }
      #expect(stolen[0] + stolen[1] > 20 && stolen[2] + stolen[3] < 5)
      let isMessage = outcome.ranks.contains { $0.stolenBetweenNodes > 0 }
      #expect(isMessage == (memory == .separate))
    }

    @Test("units of all sizes are done once each", arguments: Memory.allCases, [1, 2, 5])
    func graded(memory: Memory, ranks: Int) throws {
      let seconds = [0.1, 0.1, 0.05] + (0..<200).map { Double($0 * 7 % 5) * 1e-3 }
      _ = try run(SleepingJob(seconds: seconds, slowRanks: [0]), ranks: ranks, memory)
    }

    @Test("teams come first, and those of finished units are not formed", arguments: Memory.allCases)
    func teams(memory: Memory) throws {
      let seconds = [0.1, 0.1, 0.1] + Array(repeating: 0.01, count: 30)
      let teams = [Team(unit: 0, ranks: 0..<2), Team(unit: 1, ranks: 0..<4), Team(unit: 2, ranks: 2..<4)]
      let outcome = try run(
        SleepingJob(seconds: seconds, teams: teams, finished: [0, 7, 20]), ranks: 4, memory)
      #expect(outcome.ranks.reduce(0) { $0 + $1.unitCount } == 4 + 2 + 28)
      #expect(outcome.ranks.allSatisfy { $0.bytesSent >= 3_000_000 })
    }

    @Test("a head that coordinates computes nothing and waits for nothing", arguments: Memory.allCases)
    func head(memory: Memory) throws {
      let job = SleepingJob(seconds: Array(repeating: 0.02, count: 90), headCoordinates: true)
      let outcome = try run(job, ranks: 4, memory)
      #expect(outcome.ranks[0].unitCount == 0 && outcome.ranks[0].waitingSeconds == 0)
      #expect(outcome.ranks.dropFirst().allSatisfy { abs($0.unitCount - 30) <= 4 })
    }

    @Test("a job of which nothing is left ends at once", arguments: Memory.allCases)
    func nothing(memory: Memory) throws {
      let outcome = try run(SleepingJob(seconds: [1, 1], finished: [0, 1]), ranks: 3, memory)
      #expect(outcome.seconds < 0.5)
    }

    /// Runs a job, checks that each unit came back once, and returns the better of its two rounds.
    private func run(_ job: SleepingJob, ranks: Int, _ memory: Memory) throws -> SleepingJob.Outcome {
      let text = String(decoding: try JSONEncoder().encode(job), as: UTF8.self)
      let result = try MPIProgram("sleeping-job").run(
        ranks: ranks, arguments: [text], environment: memory.environment)
      try #require(result.status == 0, "\(result.errorOutput)")
      let outcomes = try result.outputLines.filter { $0 != "ok" }.map {
        try JSONDecoder().decode(SleepingJob.Outcome.self, from: Data($0.utf8))
      }
      let expected = job.seconds.indices.filter { !job.finished.contains($0) }
      try #require(outcomes.count == 2)
      for outcome in outcomes { #expect(outcome.collected.sorted() == expected) }
      return outcomes[0].seconds < outcomes[1].seconds ? outcomes[0] : outcomes[1]
    }
  }
}

/// What a `sleeping-job` is told and tells.
private struct SleepingJob: Codable {
  var seconds: [Double]
  var slowRanks: [Int] = []
  var teams: [Team] = []
  var finished: [Int] = []
  var headCoordinates = false

  struct Outcome: Codable {
    var seconds: Double
    var collected: [Int]
    var ranks: [RankStatistics]

    /// The share of all ranks' time in which they had nothing to compute.
    var waitingShare: Double {
      let waiting = ranks.reduce(0) { $0 + $1.waitingSeconds }
      return waiting / (waiting + ranks.reduce(0) { $0 + $1.computingSeconds })
    }
  }
}
