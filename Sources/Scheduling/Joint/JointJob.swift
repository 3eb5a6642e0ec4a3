internal import Adapters
internal import Checkpoints
internal import Foundation
internal import JointDecomposition
internal import LinearAlgebra
public import MPI
internal import WeightSources

/// A joint decomposition: from a plan to a folder, group after group, all ranks on one.
public struct JointJob {
  private let plan: JointPlan
  private let resources: JobResources
  private let versionText: String

  /// A job of a plan; the version goes into the record.
  public init(_ plan: JointPlan, resources: JobResources, version: String) {
    self.plan = plan
    self.resources = resources
    versionText = version
  }

  /// Collective: decomposes every group and writes the folder on rank 0.
  ///
  /// Finished groups, and the subspaces of the one in work after each read, are in the folder's journal.
  ///
  /// - Parameters:
  ///   - world: All ranks of the job.
  ///   - folder: Rank 0's output; nil on the others.
  ///   - notify: Called on rank 0 with sentences for a person; by a signal's thread too.
  ///   - onProgress: Called on rank 0 before each read of a group.
  /// - Returns: On rank 0 the report; elsewhere nil.
  /// - Throws: On rank 0 the first error of any rank; the folder is then not published.
  public func run(
    on world: borrowing Communicator, into folder: OutputFolder?,
    notify: @escaping @Sendable (String) -> Void, onProgress: @escaping (JointProgress) -> Void
  ) throws -> JointReport? {
    let start = secondsNow()
    try plan.inputs.checkOnAllHosts(world, notify: notify)
    guard world.rank == 0, let folder else {
      _ = try runGroups(on: world, journal: nil, onProgress: onProgress)
      return nil
    }
    let output = try JournaledOutput(
      folder, identity: plan.identity(version: versionText), unitCount: plan.groups.count,
      unitName: "groups", notify: notify)
    return try output.publish { journal in
      let statistics = try runGroups(on: world, journal: journal, onProgress: onProgress)
      try journal.flush()
      try plan.inputs.checkUnchanged()
      return try write(journal, into: folder, statistics, since: start)
    }
  }

  /// Collective: does the groups that are left.
  ///
  /// - Returns: How every rank spent its time, on every rank.
  private func runGroups(
    on world: borrowing Communicator, journal: Journal?, onProgress: @escaping (JointProgress) -> Void
  ) throws -> [JointRankStatistics] {
    let ranks = try StackRanks(duplicating: world)
    let listener = SharedListener()
    var own = JointRankStatistics(mpiRank: world.rank)
    for (number, group) in plan.groups.enumerated() {
      guard try world.shared({ try journal?.read(number) == nil }) else { continue }
      let groupStart = secondsNow()
      let progress = GroupProgress(number: number, groupCount: plan.groups.count, name: group.name)
      let stack = SliceStack(
        ModelSlices(group), name: group.name, seed: plan.request.seed, tunedCount: group.pairs.count,
        over: ranks, threadCount: resources.threadCount,
        memory: max(0, resources.memoryPerRank - plan.workspaceBytes(of: group))
      ) {
        try listener.value.stopAll(on: ranks.world)
        if ranks.world.rank == 0 { onProgress(progress.next()) }
      }
      let state = try sharedState(journal?.read(stateUnit(number)), on: world)
      if let state { stack.resume(energies: state.energies, passCount: state.passCount) }
      let decomposition = GroupDecomposition(
        plan: plan, group: group, file: fileName(number), stack: stack)
      var result =
        try decomposition.run(from: state?.subspaces) { subspaces in
          try journal?.append(stateUnit(number), JointGroupState(subspaces, stack).encoded())
        } ?? JointGroupResult(record: nil, tensors: [], seconds: 0)
      result.seconds = secondsNow() - groupStart
      try journal?.append(number, result.encoded())
      own.add(stack)
    }
    own.finish()
    return try world.allGather(Array(JSONEncoder().encode(own))).map {
      try JSONDecoder().decode(JointRankStatistics.self, from: Data($0))
    }
  }

  /// The unit of the journal that holds where a group in work has come.
  private func stateUnit(_ number: Int) -> Int { plan.groups.count + number }

  private func fileName(_ number: Int) -> String { String(format: "group-%03d.safetensors", number + 1) }

  /// Collective: rank 0's state of a group, on every rank.
  private func sharedState(_ bytes: [UInt8]?, on world: borrowing Communicator) throws -> JointGroupState? {
    let bytes = try world.broadcast(bytes ?? [], root: 0)
    return bytes.isEmpty ? nil : try JointGroupState(decoding: bytes)
  }

  /// Makes the folder's files from the journal, one group in memory at a time.
  private func write(
    _ journal: Journal, into folder: OutputFolder, _ ranks: [JointRankStatistics], since start: Double
  ) throws -> JointReport {
    try folder.clearContents()
    var records: [JointGroupRecord] = []
    var unchanged: [String] = []
    var seconds: [Double] = []
    for (number, group) in plan.groups.enumerated() {
      guard let bytes = try journal.read(number) else {
        preconditionFailure("every group is finished when the folder is written")
      }
      let result = try JointGroupResult(decoding: bytes)
      guard let record = result.record else {
        unchanged.append(group.name)
        continue
      }
      try write(result, group.name, to: folder.contentsPath + "/" + record.file)
      records.append(record)
      seconds.append(result.seconds)
    }
    guard !records.isEmpty else {
      throw JointJobError.identical(
        base: plan.request.basePath, tuned: plan.request.tunedPaths, groupCount: plan.groups.count)
    }
    let record = JointRecord(
      version: versionText, method: plan.request.method, base: plan.request.basePath,
      tuned: plan.request.tunedPaths,
      options: plan.optionRows.map { .init(name: $0.name, value: $0.value) }, inputs: plan.inputs,
      groups: records, unchangedGroups: unchanged, notes: plan.notes)
    let report = JointReport(record, groupSeconds: seconds, seconds: secondsNow() - start, ranks: ranks)
    try writeDurably(encodedJSON(record), to: folder.contentsPath + "/" + JointFolder.recordFile)
    try writeDurably(encodedJSON(report.times), to: folder.contentsPath + "/report.json")
    return report
  }

  private func write(_ result: JointGroupResult, _ group: String, to path: String) throws {
    var writer = try SafetensorsWriter(
      path: path,
      slots: result.tensors.map {
        .init(name: "\(group).\($0.name)", elementType: .f32, largestShape: $0.tensor.shape)
      }, metadata: ["format": "pt"])
    for (name, tensor) in result.tensors {
      try writer.write(
        ElementType.f32.encode(tensor.elements.matrix), to: "\(group).\(name)", shape: tensor.shape)
    }
    try writer.finish()
  }
}

/// A listener that a closure can change.
private final class SharedListener {
  var value = StopListener()
}

/// Counts the reads of a group.
private final class GroupProgress {
  private var progress: JointProgress

  init(number: Int, groupCount: Int, name: String) {
    progress = JointProgress(groupNumber: number, groupCount: groupCount, groupName: name, readCount: 0)
  }

  func next() -> JointProgress {
    progress.readCount += 1
    return progress
  }
}

/// How far a joint decomposition has come.
public struct JointProgress: Sendable {
  /// The group in work, from 0.
  public let groupNumber: Int
  /// All groups.
  public let groupCount: Int
  /// Its name.
  public let groupName: String
  /// Its reads so far, with the one that begins.
  public internal(set) var readCount: Int
}

/// Why a joint decomposition has nothing to write.
public enum JointJobError: Error, CustomStringConvertible, Equatable, Sendable {
  /// No group changed.
  case identical(base: String, tuned: [String], groupCount: Int)

  /// One sentence with what was compared.
  public var description: String {
    switch self {
    case .identical(let base, let tuned, let count):
      "\(tuned.joined(separator: ", ")): all modules of all \(count) groups equal those of \(base); there is "
        + "nothing to decompose"
    }
  }
}

func encodedJSON(_ value: some Encodable) throws -> Data {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  return try encoder.encode(value) + Data("\n".utf8)
}
