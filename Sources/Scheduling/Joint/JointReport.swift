public import Adapters
internal import Foundation
internal import JointDecomposition
internal import LinearAlgebra
internal import MPI

/// What a joint decomposition came to, and how long it took.
public struct JointReport: Sendable {
  /// What is in the folder.
  public let record: JointRecord
  /// `report.json`: what differs from run to run.
  public let times: Times

  /// Times and machines.
  public struct Times: Sendable, Codable {
    /// Wall-clock seconds of this run.
    public let seconds: Double
    /// Seconds of each group, in the order of the record's, in whichever run did it.
    public let groupSeconds: [Double]
    /// OpenBLAS's version, build and kernels on rank 0.
    public let blas: String
    /// How each rank spent this run.
    public let ranks: [JointRankStatistics]
  }

  init(_ record: JointRecord, groupSeconds: [Double], seconds: Double, ranks: [JointRankStatistics]) {
    self.record = record
    times = Times(
      seconds: seconds, groupSeconds: groupSeconds,
      blas: "\(BLASLibrary.configuration) (\(BLASLibrary.coreName))", ranks: ranks)
  }

  /// The record of a folder that this very job has completed; nil if it holds anything else.
  public static func completed(at path: String, _ plan: JointPlan, version: String) -> JointRecord? {
    guard let folder = try? JointFolder(path: path) else { return nil }
    let record = folder.record
    let isSame =
      record.version == version && record.inputs == plan.inputs && record.base == plan.request.basePath
      && record.tuned == plan.request.tunedPaths
      && record.options == plan.optionRows.map { .init(name: $0.name, value: $0.value) }
    return isSame ? record : nil
  }

  /// A line a group.
  public var lines: [String] {
    zip(record.groups, times.groupSeconds).map { group, seconds in
      summary(of: group) + String(format: ", %.2f s", seconds)
    }
  }
}

/// Size, energy kept beside separate SVDs, and reads of a group.
public func summary(of group: JointGroupRecord) -> String {
  var parts = [
    "\(group.name): \(group.modules.count) layers"
      + (group.tunedCount > 1 ? " of \(group.tunedCount) models" : "")
      + ", \(group.shape[0]) × \(group.shape[1])",
    group.sizeText, String(format: "%.2f %% of the energy kept", 100 * (1 - group.residual / group.energy)),
  ]
  if let separate = group.separate {
    let left = separate.residuals.reversed().reduce(0, +)
    parts.append(
      String(
        format: "separate SVDs of as many numbers (%d triplets) %@%.2f %%", separate.tripletCount,
        separate.exhaustedCount > 0 ? "at least " : "", 100 * (1 - left / group.energy)))
  }
  if let components = group.components {
    let match = components.matchOfBestTwo.map { String(format: "%.3f", $0) } ?? "none"
    let consistency = components.coreConsistency.map { String(format: "%.0f", $0) } ?? "none"
    parts.append("match of the best two runs \(match), CORCONDIA \(consistency)")
    if components.isDegenerate { parts.append("DEGENERATE") }
  }
  if !group.isConverged && group.components == nil { parts.append("subspaces still moving") }
  parts.append("\(group.passes) reads")
  return parts.joined(separator: ", ")
}

extension JointGroupRecord {
  fileprivate var sizeText: String {
    if let componentCount { return "\(componentCount) components" }
    switch (outRank, inRank) {
    case (let out?, let `in`?):
      return "ranks \(out) × \(`in`)" + (layerRank.map { " × \($0)" } ?? "")
    case (let out?, nil): return "basis of \(out) outputs' vectors"
    case (nil, let `in`?): return "basis of \(`in`) inputs' vectors"
    case (nil, nil): return ""
    }
  }
}

/// How one rank spent a joint decomposition.
public struct JointRankStatistics: Sendable, Codable {
  /// The rank.
  public let mpiRank: Int
  /// Its machine.
  public let host: String
  /// The kernels that its BLAS chose.
  public let kernels: String
  /// Times it read a slice.
  public private(set) var readCount = 0
  /// Seconds of reading, most of them beside computing.
  public private(set) var readingSeconds = 0.0
  /// Seconds in which it had no slice to compute on.
  public private(set) var waitingSeconds = 0.0
  /// Largest resident memory of the process so far, in bytes.
  public private(set) var peakMemoryBytes = 0

  init(mpiRank: Int) {
    self.mpiRank = mpiRank
    host = Runtime.processorName
    kernels = BLASLibrary.kernels
  }

  mutating func add(_ stack: SliceStack) {
    readCount += stack.readCount
    readingSeconds += stack.readingSeconds
    waitingSeconds += stack.waitingSeconds
  }

  mutating func finish() { peakMemoryBytes = peakMemory() }
}
