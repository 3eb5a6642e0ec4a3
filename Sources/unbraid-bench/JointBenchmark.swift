import ArgumentParser
import Checkpoints
import Foundation
import JointDecomposition
import LinearAlgebra
import MPI
import WeightSources

/// `mpirun -n 2 unbraid-bench joint`: a Tucker decomposition of a generated stack beside separate SVDs.
struct JointBenchmark: DistributedBenchmark {
  static let configuration = CommandConfiguration(
    commandName: "joint",
    abstract:
      "Time a streamed Tucker decomposition of a generated stack, beside separate SVDs of its slices.",
    discussion: """
      The default is all 32 mlp.down_proj of Llama-2-7B, made from seeds: no files. The time it takes to make slices
      is taken out of both figures: slices are made by the thread that computes, and its seconds subtracted.

      Example:  mpirun -n 2 unbraid-bench joint --separate
                unbraid-bench joint --rows 2048 --columns 2048 --slices 16 --save stack.safetensors
      """)

  @Option(help: "Rows of a slice.") var rows = 4096
  @Option(help: "Columns of a slice.") var columns = 11008
  @Option(help: "Slices.") var slices = 32
  @Option(help: "Basis vectors of each side, and rank of the separate SVDs.") var rank = 64
  @Option(help: "Threads a rank.") var threads = 1
  @Option(help: "Bytes a rank may keep slices in.") var memory = 0
  @Flag(help: "Decompose each slice by itself, too.") var separate = false
  @Option(help: "Write the assembled stack to this safetensors file, for programs that are compared.")
  var save: String?

  func measure(_ world: borrowing Communicator) throws {
    let source = GeneratedSlices(count: slices, rows: rows, columns: columns, seed: 0)
    if let save, world.rank == 0 { try write(source, to: save) }
    let ranks = try StackRanks(duplicating: world)
    let stack = SliceStack(
      source, name: "stack", seed: 0, over: ranks, threadCount: threads, memory: memory, readsAhead: false)
    try world.barrier()
    let start = Date()
    guard let tucker = try StackTucker(stack, .init(.ranks(left: rank, right: rank))) else { return }
    let certificate = try tucker.certificate(on: stack, comparesSeparateSVDs: false)
    let own = Date().timeIntervalSince(start) - stack.readingSeconds
    let peak = try world.allReduce([Double(peakMemory())], .max)[0]
    let joint = try world.allReduce([own], .max)[0]
    var separateSeconds = 0.0
    if separate { separateSeconds = try world.allReduce([try separateSVDs(source, stack)], .max)[0] }
    guard world.rank == 0 else { return }
    printLine(machineLine())
    printLine("rows,columns,slices,rank,ranks,threads,seconds,passes,relative_error,peak_MB,separate_s,ratio")
    printLine(
      "\(rows),\(columns),\(slices),\(rank),\(world.size),\(threads),"
        + String(
          format: "%.3f,%d,%.6f,%.0f,", joint, stack.passCount, certificate.relativeError, peak / 1e6)
        + (separate ? String(format: "%.3f,%.2f", separateSeconds, joint / separateSeconds) : ","))
  }

  /// Seconds of this rank's SVDs without those of making the slices.
  private func separateSVDs(_ source: GeneratedSlices, _ stack: SliceStack) throws -> Double {
    var seconds = 0.0
    for index in stack.ownSlices {
      let slice = source.load(index)
      let share = LongSideShare(rows: rows, columns: columns, threadCount: threads)
      seconds += try elapsedSeconds {
        _ = try TruncatedSVD(
          of: &slice.matrix, energy: slice.energy, share: share,
          options: .init(rank: rank, random: CounterRandom(seed: 0, name: "slice \(index)")))
      }
    }
    return seconds
  }

  private func write(_ source: GeneratedSlices, to path: String) throws {
    var writer = try SafetensorsWriter(
      path: path, slots: [.init(name: "stack", elementType: .f32, largestShape: [slices, rows, columns])],
      metadata: [:])
    var bytes: [UInt8] = []
    for index in 0..<slices { bytes += ElementType.f32.encode(source.load(index).matrix) }
    try writer.write(bytes, to: "stack", shape: [slices, rows, columns])
    try writer.finish()
  }
}

/// The process's largest resident set so far, in bytes.
private func peakMemory() -> Int {
  let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
  let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
  return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
}
