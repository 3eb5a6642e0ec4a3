internal import DistributedLinearAlgebra
internal import LinearAlgebra
internal import MPI

/// A stack of equally shaped matrices that is never assembled, and passes over it: ranks hold runs of slices.
///
/// Slices are numbered tuned model by tuned model and within one layer by layer. All functions are collective, and
/// their results are the same bits on every rank and for every number of ranks.
public final class SliceStack {
  /// What a random start is keyed by, and what messages call the stack.
  public let name: String
  /// Tuned models.
  public let tunedCount: Int
  /// Layers of each.
  public let layerCount: Int
  /// Rows of each slice.
  public var rows: Int { source.rows }
  /// Columns of each slice.
  public var columns: Int { source.columns }
  /// All slices.
  public var sliceCount: Int { source.count }
  /// Times every slice was looked at so far.
  public private(set) var passCount = 0
  /// ‖A‖_F² of each slice; empty before the first pass.
  public private(set) var energies: [Double] = []
  /// A power of two that slices are multiplied by after the first pass, 1 for ordinary weights: iterates carry
  /// cubes of norms, which must not leave the range of a float.
  private(set) var factor = 1.0
  let threadCount: Int
  let deal: SliceDeal
  let ranks: StackRanks
  private let source: any SliceSource
  private let reader: SliceReader
  private let seed: UInt64
  private let beforePass: () throws -> Void

  /// A stack over the ranks.
  ///
  /// - Parameters:
  ///   - source: Its slices, the same on every rank.
  ///   - name: What its random streams are keyed by.
  ///   - seed: The job's.
  ///   - tunedCount: Tuned models; divides the number of slices.
  ///   - ranks: Who works on it.
  ///   - threadCount: Threads for the products of this rank; the results do not depend on it.
  ///   - memory: Bytes that this rank may keep slices in.
  ///   - readsAhead: Whether another thread reads slices meanwhile.
  ///   - beforePass: Collective: called before every pass; what it throws ends the pass on every rank.
  public init(
    _ source: any SliceSource, name: String, seed: UInt64, tunedCount: Int = 1, over ranks: StackRanks,
    threadCount: Int = 1, memory: Int = 0, readsAhead: Bool = true,
    beforePass: @escaping () throws -> Void = {}
  ) {
    precondition(source.count.isMultiple(of: tunedCount), "every tuned model has all layers")
    self.source = source
    self.name = name
    self.seed = seed
    self.tunedCount = tunedCount
    layerCount = source.count / tunedCount
    self.ranks = ranks
    self.threadCount = threadCount
    self.beforePass = beforePass
    deal = SliceDeal(sliceCount: source.count, rankCount: ranks.world.size)
    reader = SliceReader(
      source, slices: deal.slices(ofRank: ranks.world.rank), memory: memory, readsAhead: readsAhead)
  }

  /// ‖A‖_F² over all slices.
  public var energy: Double { energies.reversed().reduce(0, +) }
  /// Whether this is the rank that gathers what is spread over the others.
  public var isOnFirstRank: Bool { ranks.world.rank == 0 }
  /// The energy of the slices as they are seen after the first pass.
  var scaledEnergy: Double { energy * factor * factor }
  /// The slices this rank holds.
  package var ownSlices: Range<Int> { deal.slices(ofRank: ranks.world.rank) }
  /// Times a slice was read or made, by this rank.
  public var readCount: Int { reader.readCount }
  /// Seconds that took this rank, most of them beside computing.
  public var readingSeconds: Double { reader.readingSeconds }
  /// Seconds in which this rank had no slice to compute on.
  public var waitingSeconds: Double { reader.waitingSeconds }

  /// Collective: looks at every slice once, each on the rank that holds it.
  func pass(_ body: (Int, Slice) throws -> Void) throws {
    try beforePass()
    var found: [Int: Double] = [:]
    try reader.forEachSlice { index, slice in
      found[index] = slice.energy
      try body(index, slice)
    }
    passCount += 1
    guard energies.isEmpty else { return }
    energies = try gathered { found[$0] ?? 0 }
    applyScale()
  }

  /// Collective: one number a slice, from the ranks that hold them.
  func gathered(_ value: (Int) -> Double) throws -> [Double] {
    try gathered(countPerSlice: 1) { [value($0)] }
  }

  /// Collective: equally many numbers a slice, slice after slice.
  func gathered(countPerSlice count: Int, _ values: (Int) -> [Double]) throws -> [Double] {
    var all = [Double](repeating: 0, count: sliceCount * count)
    for index in ownSlices { all.replaceSubrange(index * count..<(index + 1) * count, with: values(index)) }
    // Each sum has one term that is not zero: the order of the additions does not matter.
    return try ranks.world.allReduce(all, .sum)
  }

  /// What an earlier run had found out when it was interrupted.
  public func resume(energies: [Double], passCount: Int) {
    self.energies = energies
    self.passCount = passCount
    applyScale()
  }

  private func applyScale() {
    if energy > 0 { factor = PowerOfTwoScale(norm: energy.squareRoot()).factor }
    reader.factor = factor
  }

  /// The stream that a slice's sketch is drawn from.
  func random(_ purpose: String) -> CounterRandom { CounterRandom(seed: seed, name: "\(name)/\(purpose)") }
}
