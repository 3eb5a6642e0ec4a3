internal import Checkpoints
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// The updates that an adapter or a decomposition holds, by module, read one at a time.
public protocol UpdateCollection {
  /// Its folder.
  var path: String { get }
  /// The modules' paths, in the order to show them.
  var modules: [String] { get }
  /// Outputs and inputs of each.
  func shape(of index: Int) -> [Int]
  /// One module's update as factors, the scale in them; nil if it is zero.
  func update(at index: Int) throws -> CollectedUpdate?
}

/// A module's update, for this package's own functions.
public struct CollectedUpdate: Sendable {
  package let factors: LowRankUpdate
}

/// Opens the folder of an adapter or of a decomposition.
///
/// - Parameter path: The folder; of a joint decomposition of several fine-tuned models, `#` and the number of one, 0 the
///   first, may follow.
/// - Returns: Its updates.
/// - Throws: What is wrong with it, as the readers of each kind say it.
public func openUpdates(_ path: String) throws -> any UpdateCollection {
  let parts = path.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
  let number = parts.count == 2 ? Int(parts[1]) : nil
  let folder = tidyPath(number == nil ? path : parts[0])
  func holds(_ file: String) -> Bool { FileManager.default.fileExists(atPath: folder + "/" + file) }
  guard holds(DecompositionFolder.recordFile) else { return try AdapterUpdates(PEFTAdapter.open(folder)) }
  if try DecompositionFolder.format(of: folder) == DecompositionRecord.currentFormat {
    return DecomposedUpdates(try DecompositionFolder(path: folder))
  }
  return try JointUpdates(JointFolder(path: folder), tuned: number)
}

/// An adapter's updates: a module each, and each expert of a fused parameter as one.
struct AdapterUpdates: UpdateCollection {
  var path: String { adapter.path }
  var modules: [String] { adapter.modules.map(\.path) }
  private let adapter: PEFTAdapter
  private let reader = DeltaReader()

  init(_ adapter: PEFTAdapter) { self.adapter = adapter }

  func shape(of index: Int) -> [Int] {
    let module = adapter.modules[index]
    return [module.outputCount, module.inputCount]
  }

  func update(at index: Int) throws -> CollectedUpdate? {
    let factors = try adapter.readFactors(of: adapter.modules[index], with: reader)
    let b = factors.b.firstRows(factors.b.rowCount)
    b.view.scale(by: factors.scale)
    guard b.sumOfSquares() > 0, factors.a.sumOfSquares() > 0 else { return nil }
    return CollectedUpdate(factors: LowRankUpdate(b: b, a: factors.a.firstRows(factors.rank)))
  }
}

/// The updates of a decomposition module by module, under the paths that PEFT has for the modules.
struct DecomposedUpdates: UpdateCollection {
  var path: String { folder.path }
  var modules: [String] { folder.record.modules.map(\.path) }
  private let folder: DecompositionFolder

  init(_ folder: DecompositionFolder) { self.folder = folder }

  func shape(of index: Int) -> [Int] {
    let module = folder.record.modules[index]
    return [module.outputCount, module.inputCount]
  }

  func update(at index: Int) throws -> CollectedUpdate? {
    let module = folder.record.modules[index]
    guard module.rank > 0 else { return nil }
    let values = try folder.values(of: module)
    let vectors = try folder.vectors(of: module, keeping: Array(values.indices))
    var b = Matrix<Float>(uninitializedRows: vectors.u.rowCount, columns: values.count)
    vectors.u.scaleColumns(by: values.map { Float($0) }, into: &b)
    return CollectedUpdate(factors: LowRankUpdate(b: b, a: vectors.vh.firstRows(values.count)))
  }
}

/// The updates of one fine-tuned model in a joint decomposition.
struct JointUpdates: UpdateCollection {
  let path: String
  let modules: [String]
  private let folder: JointFolder
  private let tuned: Int
  private let places: [(group: Int, layer: Int)]
  private let groups: OneAtATime

  /// Takes a folder and the number of the fine-tuned model, which may be left out if there is one.
  init(_ folder: JointFolder, tuned: Int?) throws {
    let count = folder.record.tuned.count
    guard count == 1 || tuned != nil, (0..<count).contains(tuned ?? 0) else {
      throw OverlapError.whichTuned(path: folder.path, tuned: folder.record.tuned)
    }
    path = folder.path
    self.folder = folder
    self.tuned = tuned ?? 0
    places = folder.record.groups.enumerated().flatMap { index, group in
      group.modules.indices.map { (index, $0) }
    }
    modules = places.map { folder.record.groups[$0.group].modules[$0.layer] }
    groups = OneAtATime(folder)
  }

  func shape(of index: Int) -> [Int] { folder.record.groups[places[index].group].shape }

  func update(at index: Int) throws -> CollectedUpdate? {
    let (group, slice) = try slice(at: index)
    return group.update(ofSlice: slice).map { CollectedUpdate(factors: $0) }
  }

  /// A module's group in memory, and its slice there.
  func slice(at index: Int) throws -> (group: GroupTensors, slice: Int) {
    let place = places[index]
    return (
      try groups.group(place.group), tuned * folder.record.groups[place.group].modules.count + place.layer
    )
  }

  /// The short names of the groups, and what each is cut into.
  var record: JointRecord { folder.record }

  /// The group of a module.
  func group(of index: Int) -> Int { places[index].group }
}

/// The tensors of the group that was asked for last.
private final class OneAtATime {
  private let folder: JointFolder
  private var last: (index: Int, tensors: GroupTensors)?

  init(_ folder: JointFolder) { self.folder = folder }

  func group(_ index: Int) throws -> GroupTensors {
    if let last, last.index == index { return last.tensors }
    let tensors = try GroupTensors(folder.record.groups[index], of: folder)
    last = (index, tensors)
    return tensors
  }
}
