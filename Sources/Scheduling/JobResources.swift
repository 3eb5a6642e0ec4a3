internal import Foundation
public import MPI

/// What a job may take of its machines.
public struct JobResources: Sendable {
  /// Ranks of the job.
  public let rankCount: Int
  /// Threads for the products of this rank; the results do not depend on it.
  public let threadCount: Int
  /// Bytes of memory that a rank may use, the least of all ranks.
  public let memoryPerRank: Int

  /// Collective: takes what was asked for, or an even share of each machine among its ranks.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - threads: Threads a rank; nil for the processors this rank may run on, divided by the ranks there.
  ///   - memory: Bytes a rank; nil for nine tenths of what the machine has available, divided likewise.
  /// - Throws: An `MPIError` if MPI reports one.
  public init(on world: borrowing Communicator, threads: Int?, memory: Int?) throws {
    let node = try world.splitByNode()
    let neighbourCount = node.size
    try node.free()
    rankCount = world.size
    // A rank that the launcher has bound to a core sees that core alone.
    let processors = ProcessInfo.processInfo.activeProcessorCount
    threadCount = threads ?? max(1, processors / neighbourCount)
    let available = memory ?? availableMemory() * 9 / 10 / neighbourCount
    memoryPerRank = Int(try world.allReduce([Double(available)], .min)[0])
  }
}

/// Bytes that new processes may take on this machine, or within its control group if that is less.
private func availableMemory() -> Int {
  let kibibytes = fields(ofFile: "/proc/meminfo").first { $0.first == "MemAvailable:" }?.dropFirst().first
  let machine = kibibytes.flatMap { Int($0) }.map { $0 * 1024 } ?? Int(ProcessInfo.processInfo.physicalMemory)
  let limit = fields(ofFile: "/sys/fs/cgroup/memory.max").first?.first.flatMap { Int($0) } ?? Int.max
  return min(machine, limit)
}

private func fields(ofFile path: String) -> [[Substring]] {
  ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n")
    .map { $0.split(whereSeparator: \.isWhitespace) }
}
