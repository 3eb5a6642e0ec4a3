internal import Foundation
internal import LinearAlgebra
public import MPI

/// What a job may take of its machines.
public struct JobResources: Sendable {
  /// Ranks of the job.
  public let rankCount: Int
  /// Whether rank 0 computes nothing and only gathers and writes.
  public let headCoordinates: Bool
  /// Ranks that compute: all, or all but rank 0.
  public var workerCount: Int { headCoordinates ? rankCount - 1 : rankCount }
  /// Threads for the products of this rank; the results do not depend on it.
  public let threadCount: Int
  /// Bytes of memory that a rank may use, the least of all ranks that compute.
  public let memoryPerRank: Int
  /// Whether ranks may share a module: not where their results would differ in the last bits.
  public let allowsTeams: Bool
  /// What a person should know about the machines before a long run; one sentence for all ranks it is true of.
  public let notices: [String]

  /// Collective: takes what was asked for, or an even share of each machine among its ranks.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - threads: Threads a rank; nil for the processors this rank may run on, divided by the ranks there.
  ///   - memory: Bytes a rank; nil for nine tenths of what the machine has available, divided likewise.
  ///   - headCoordinates: Whether rank 0 leaves the computing to the others.
  /// - Throws: `PlanError.noWorkers` if nobody would compute, or an `MPIError` if MPI reports one.
  public init(
    on world: borrowing Communicator, threads: Int?, memory: Int?, headCoordinates: Bool = false
  ) throws {
    if headCoordinates && world.size == 1 { throw PlanError.noWorkers }
    self.headCoordinates = headCoordinates
    let node = try world.splitByNode()
    // A rank that only coordinates leaves its processor to the others of its machine.
    let works = headCoordinates && world.rank == 0 ? 0.0 : 1
    let neighbourCount = max(1, Int(try node.allReduce([works], .sum)[0]))
    try node.free()
    rankCount = world.size
    // A rank that the launcher has bound to a core sees that core alone.
    let processors = ProcessInfo.processInfo.activeProcessorCount
    threadCount = threads ?? max(1, processors / neighbourCount)
    let available = memory ?? availableMemory() * 9 / 10 / neighbourCount
    // A head that only coordinates may be a small machine of another kind: what it has limits nobody.
    memoryPerRank = Int(try world.allReduce([works > 0 ? Double(available) : .infinity], .min)[0])
    let states = try LibraryState.all(on: world).dropFirst(headCoordinates ? 1 : 0)
    allowsTeams = Set(states.map(\.kernels)).count == 1
    notices = libraryNotices(states)
  }
}

/// What is odd about the ranks' BLAS libraries, with the machines it was seen on.
private func libraryNotices(_ states: ArraySlice<LibraryState>) -> [String] {
  var hosts: [String: Set<String>] = [:]
  for state in states { for notice in state.notices { hosts[notice, default: []].insert(state.host) } }
  var sentences = hosts.sorted { $0.key < $1.key }.map { notice, hosts in
    "\(hosts.sorted().joined(separator: ", ")): \(notice)"
  }
  let kernels = Set(states.map(\.kernels)).sorted()
  if kernels.count > 1 {
    sentences.append(
      "the ranks' BLAS libraries use different kernels (\(kernels.joined(separator: ", "))); the last bits of the "
        + "result depend on which rank does what, and no ranks share a module")
  }
  return sentences
}

private struct LibraryState: Codable {
  var host: String
  var kernels: String
  var notices: [String]

  /// Collective: those of all ranks.
  static func all(on world: borrowing Communicator) throws -> [LibraryState] {
    let own = LibraryState(
      host: Runtime.processorName, kernels: BLASLibrary.kernels, notices: BLASLibrary.notices)
    return try world.allGather(Array(JSONEncoder().encode(own))).map {
      try JSONDecoder().decode(LibraryState.self, from: Data($0))
    }
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
