import CMPI

/// Words of 64 bits that the ranks of one machine share and change by atomic operations.
///
/// Any of them may read or replace a word while the others compute; nobody has to answer. All words are 0 at first.
public final class SharedWords: @unchecked Sendable {
  // Sendable because every access to the words is atomic.

  /// Words are a cache line apart: ranks change theirs often.
  private static let stride = 8

  /// How many words there are.
  public let count: Int
  private let words: UnsafeMutablePointer<UInt64>
  /// Nil for memory of this process alone, and once it has been given back.
  private var window: MPI_Win?
  private let isLocal: Bool

  /// Collective: makes words that these ranks share; nil on all of them if MPI cannot make a window on any.
  ///
  /// - Parameters:
  ///   - count: How many.
  ///   - node: Ranks of one machine, such as `Communicator.splitByNode` makes.
  /// - Throws: An `MPIError` if MPI fails in anything else.
  public convenience init?(count: Int, on node: borrowing Communicator) throws(MPIError) {
    guard node.size > 1 else {
      self.init(count: count)
      return
    }
    let byteCount = node.rank == 0 ? count * Self.stride * MemoryLayout<UInt64>.stride : 0
    var own: UnsafeMutableRawPointer?
    var window: MPI_Win?
    let code = withUnsafeMutablePointer(to: &own) { pointer in
      MPI_Win_allocate_shared(MPI_Aint(byteCount), 8, cmpi_info_null(), node.handle, pointer, &window)
    }
    let isMade = try node.allReduce([code == cmpi_success() ? 1 : 0], .min)[0] == 1
    guard isMade else { return nil }
    var base: UnsafeMutableRawPointer?
    var size: MPI_Aint = 0
    var unit: Int32 = 0
    try node.label.check(
      "MPI_Win_shared_query",
      withUnsafeMutablePointer(to: &base) { MPI_Win_shared_query(window, 0, &size, &unit, $0) })
    guard let base else { preconditionFailure("MPI_Win_shared_query succeeded without an address") }
    if node.rank == 0 { base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount) }
    try node.barrier()
    self.init(count: count, words: base.assumingMemoryBound(to: UInt64.self), window: window)
  }

  /// Makes words of this process alone.
  package convenience init(count: Int) {
    let words = UnsafeMutablePointer<UInt64>.allocate(capacity: max(1, count) * Self.stride)
    words.initialize(repeating: 0, count: max(1, count) * Self.stride)
    self.init(count: count, words: words, window: nil)
  }

  private init(count: Int, words: UnsafeMutablePointer<UInt64>, window: MPI_Win?) {
    self.count = count
    self.words = words
    self.window = window
    isLocal = window == nil
  }

  /// A word as it is now.
  public subscript(_ index: Int) -> UInt64 {
    precondition((0..<count).contains(index))
    return cmpi_atomic_load(words + index * Self.stride)
  }

  /// Replaces a word if it is still what it was.
  ///
  /// - Returns: Whether it was.
  public func replace(_ index: Int, _ expected: UInt64, with desired: UInt64) -> Bool {
    precondition((0..<count).contains(index))
    return cmpi_atomic_replace(words + index * Self.stride, expected, desired) != 0
  }

  /// Collective: gives the memory back; no word may be touched afterwards.
  ///
  /// Words that are not freed stay until MPI ends: an error may be on its way through one rank alone.
  ///
  /// - Throws: An `MPIError` if MPI refuses.
  public func free() throws(MPIError) {
    guard !isLocal else { return }
    let label = CommunicatorLabel(name: "node", size: count)
    try label.check("MPI_Win_free", MPI_Win_free(&window))
  }

  deinit {
    // A window's memory is MPI's.
    if isLocal { words.deallocate() }
  }
}
