internal import Foundation
internal import LinearAlgebra
internal import MPI

/// How one rank spent a job.
public struct RankStatistics: Sendable, Codable {
  /// The rank.
  public let mpiRank: Int
  /// Its machine.
  public let host: String
  /// The kernels that its BLAS chose; results are the same bits only where these are.
  public let kernels: String
  /// Threads for its products.
  public let threadCount: Int
  /// Units it did, its parts of shared units included.
  public let unitCount: Int
  /// How many of them it shared with other ranks, each of which counts them too.
  public let sharedCount: Int
  /// Seconds of computing, those included in which the machine had no processor for it.
  public let computingSeconds: Double
  /// Seconds of reading, most of them beside computing, unless all ranks do every unit together.
  public let readingSeconds: Double
  /// Seconds in which it had nothing to do, from the job's start until rank 0 had all results.
  ///
  /// So the time counts in which other ranks, and messages, were busy with the last units.
  public let waitingSeconds: Double
  /// Bytes of the models that its units took, its parts of teams' units included.
  public let bytesRead: Int
  /// Bytes of all its messages of the job; nil where they are MPI's own business, as when all ranks do every unit.
  public let bytesSent: Int?
  /// Units that it took from the lists of other ranks of its machine.
  public let stolenInsideNode: Int
  /// Units that it was given by other machines.
  public let stolenBetweenNodes: Int
  /// Bytes sent to other ranks of teams.
  public let exchangedBytes: Int
  /// Seconds of waiting for other ranks of teams; part of computing.
  public let exchangeSeconds: Double
  /// Largest resident memory of the process so far, in bytes.
  public let peakMemoryBytes: Int

  init(
    mpiRank: Int, times: PipelineTimes, traffic: ExchangeTraffic = ExchangeTraffic(),
    load: RankLoad = RankLoad(), threadCount: Int, since start: Double
  ) {
    self.mpiRank = mpiRank
    host = Runtime.processorName
    kernels = BLASLibrary.kernels
    self.threadCount = threadCount
    unitCount = times.unitCount
    computingSeconds = times.computing
    readingSeconds = times.reading
    sharedCount = times.sharedCount
    let busy = times.computing + (load.readsBesideComputing ? 0 : times.reading)
    waitingSeconds = load.isWorking ? max(0, secondsNow() - start - busy) : 0
    bytesRead = load.bytesRead
    bytesSent = load.bytesSent
    stolenInsideNode = load.steals.insideNode
    stolenBetweenNodes = load.steals.betweenNodes
    exchangedBytes = traffic.bytesSent
    exchangeSeconds = traffic.seconds
    peakMemoryBytes = peakMemory()
  }
}

/// What a rank moved during a job.
struct RankLoad: Sendable {
  var bytesRead = 0
  var bytesSent: Int? = 0
  var steals = StealCount()
  /// Whether it was there to compute: a rank that only coordinates waits for nothing.
  var isWorking = true
  /// Whether it reads one unit while it computes another, so that reading keeps nobody waiting by itself.
  var readsBesideComputing = true
}

/// The process's largest resident set so far, in bytes; 0 where the system does not tell.
///
/// Not from `getrusage`, whose figure a process inherits from the one that started it.
func peakMemory() -> Int {
  let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
  let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
  return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
}
