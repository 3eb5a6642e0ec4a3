internal import Checkpoints
internal import Foundation
internal import MPI

/// A job of single units whose results go into an output's journal, and from there into its files.
struct JournaledJob<Work: UnitWork> {
  let work: Work
  /// In the order in which they are given out: the dearest first.
  let units: [JobUnit]
  /// The files that they read.
  let inputs: [InputFile]
  let identity: JobIdentity
  /// What a person calls the units, in the plural.
  let unitName: String
  let headCoordinates: Bool
  /// What the work uses of a rank's processors, for the statistics.
  var threadCount = 1

  /// Collective: does every unit that the journal does not have yet, and writes the folder on rank 0.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - folder: Rank 0's output; nil on the others.
  ///   - notify: Called on rank 0 with sentences for a person; by a signal's thread too.
  ///   - onProgress: Called on rank 0 after each unit.
  ///   - write: Called on rank 0 when every unit is in the journal: makes the folder's contents.
  /// - Returns: On rank 0 what `write` returned; elsewhere nil.
  /// - Throws: On rank 0 the first error of any rank; the folder is then not published.
  func run<Result>(
    on world: borrowing Communicator, into folder: OutputFolder?,
    notify: @escaping @Sendable (String) -> Void,
    onProgress: (UnitProgress) -> Void, write: (Journal, [RankStatistics]) throws -> Result
  ) throws -> Result? {
    try inputs.checkOnAllHosts(world, notify: notify)
    guard world.rank == 0, let folder else {
      _ = try runUnits(on: world, finished: sharedUnits(nil, on: world)) { _, _ in }
      return nil
    }
    let output = try JournaledOutput(
      folder, identity: identity, unitCount: units.count, unitName: unitName, notify: notify)
    return try output.publish { journal in
      let finished = try sharedUnits(journal.carriedOver, on: world)
      var progress = UnitProgress(units)
      for unit in finished { progress.finish(units[unit]) }
      let ranks = try runUnits(on: world, finished: finished, canCollect: { !journal.isFull }) {
        unit, bytes in
        try journal.append(unit, bytes)
        try folder.checkLock()
        progress.finish(units[unit])
        onProgress(progress)
      }
      try journal.flush()
      try inputs.checkUnchanged()
      try folder.clearContents()
      return try write(journal, ranks)
    }
  }

  /// Collective: what rank 0 knows to be finished, on every rank.
  private func sharedUnits(_ units: Set<Int>?, on world: borrowing Communicator) throws -> Set<Int> {
    let bytes = try units.map { Array(try JSONEncoder().encode($0.sorted())) } ?? []
    return Set(try JSONDecoder().decode([Int].self, from: Data(try world.broadcast(bytes, root: 0))))
  }

  private func runUnits(
    on world: borrowing Communicator, finished: Set<Int>, canCollect: () -> Bool = { true },
    collect: (Int, [UInt8]) throws -> Void
  ) throws -> [RankStatistics] {
    let job = DistributedJob(
      work, units: units, finished: finished, headCoordinates: headCoordinates, threadCount: threadCount)
    return try job.run(on: world, canCollect: canCollect, collect: collect)
  }
}

extension Journal {
  /// What a unit has left, which must be finished.
  func result(_ unit: Int) throws -> [UInt8] {
    guard let bytes = try read(unit) else {
      preconditionFailure("every unit is finished when the files are written")
    }
    return bytes
  }
}

/// How far a job of single units has come.
public struct UnitProgress: Sendable {
  /// Units finished.
  public private(set) var finishedCount = 0
  /// All units.
  public let unitCount: Int
  /// Bytes of the finished units.
  public private(set) var bytesDone = 0
  /// The finished share of all cost, from 0 to 1.
  public private(set) var share = 0.0
  private let cost: Double

  init(_ units: [JobUnit]) {
    unitCount = units.count
    cost = units.reduce(0) { $0 + $1.cost }
  }

  mutating func finish(_ unit: JobUnit) {
    finishedCount += 1
    bytesDone += unit.byteCount
    share += unit.cost / cost
  }
}
