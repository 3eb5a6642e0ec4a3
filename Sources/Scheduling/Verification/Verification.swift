internal import Adapters
internal import Foundation
internal import LinearAlgebra
public import MPI
internal import WeightSources

/// Measures what an adapter as it is stored leaves of a fine-tune, over all ranks.
public struct Verification {
  private let plan: VerificationPlan
  private let resources: JobResources

  /// A verification of a plan, which is the same on every rank.
  public init(_ plan: VerificationPlan, resources: JobResources) {
    self.plan = plan
    self.resources = resources
  }

  /// Collective: reads both models and the adapter once.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - notify: Called on rank 0 with sentences for a person.
  ///   - onProgress: Called on rank 0 after each tensor with how many are done, of how many, and their bytes.
  /// - Returns: On rank 0 the report; elsewhere nil.
  /// - Throws: On rank 0 the first error of any rank.
  public func run(
    on world: borrowing Communicator, notify: (String) -> Void, onProgress: (Int, Int, Int) -> Void
  ) throws -> VerificationReport? {
    let start = secondsNow()
    try plan.inputs.checkOnAllHosts(world, notify: notify)
    let units = plan.units
    var results: [Int: VerificationResult] = [:]
    var bytesDone = 0
    let job = DistributedJob(
      VerificationWork(plan, threadCount: resources.threadCount), units: units,
      teams: try world.shared { try plan.teams(for: resources) }, headCoordinates: resources.headCoordinates,
      threadCount: resources.threadCount)
    let ranks = try job.run(on: world) { unit, bytes in
      results[unit] = try JSONDecoder().decode(VerificationResult.self, from: Data(bytes))
      bytesDone += units[unit].byteCount
      onProgress(results.count, units.count, bytesDone)
    }
    guard world.rank == 0 else { return nil }
    try plan.inputs.checkUnchanged()
    return VerificationReport(plan, results, ranks: ranks, seconds: secondsNow() - start)
  }
}
