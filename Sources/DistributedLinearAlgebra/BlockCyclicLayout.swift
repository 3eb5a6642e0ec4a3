/// One dimension of a matrix dealt out to a row or column of a process grid, a block to each in turn.
///
/// With n indices in blocks of b over p coordinates, block j = ⌊i / b⌋ of index i lies at coordinate j mod p, as
/// its block ⌊j / p⌋. This is ScaLAPACK's distribution with the first block at coordinate 0 (Blackford et al.,
/// *ScaLAPACK Users' Guide*, 1997, section 4.3). Indices start at 0.
public struct BlockCyclicLayout: Equatable, Sendable {
  /// Indices of the whole dimension.
  public let globalCount: Int
  /// Indices of a block; the last may have fewer.
  public let blockLength: Int
  /// This process's place in the dimension; nil for a process outside the grid, which has no index.
  public let coordinate: Int?
  /// Processes in the dimension.
  public let coordinateCount: Int
  /// Indices this process has.
  public let localCount: Int

  /// Lays out a dimension.
  ///
  /// - Parameters:
  ///   - globalCount: Indices, 0 or more.
  ///   - blockLength: Indices of a block, 1 or more.
  ///   - coordinate: 0 to `coordinateCount` − 1, or nil outside the grid.
  ///   - coordinateCount: Processes, 1 or more.
  public init(globalCount: Int, blockLength: Int, coordinate: Int?, coordinateCount: Int) {
    precondition(
      globalCount >= 0 && blockLength > 0 && coordinateCount > 0, "a layout needs blocks and places")
    precondition((0..<coordinateCount).contains(coordinate ?? 0), "the coordinate is outside the grid")
    self.globalCount = globalCount
    self.blockLength = blockLength
    self.coordinate = coordinate
    self.coordinateCount = coordinateCount
    localCount =
      coordinate.map { place in
        let fullBlocks = globalCount / blockLength
        let ownBlocks = fullBlocks / coordinateCount + (place < fullBlocks % coordinateCount ? 1 : 0)
        let rest = place == fullBlocks % coordinateCount ? globalCount % blockLength : 0
        return ownBlocks * blockLength + rest
      } ?? 0
  }

  /// The coordinate that has a global index.
  ///
  /// - Parameter globalIndex: 0 to `globalCount` − 1.
  /// - Returns: A coordinate.
  public func owner(of globalIndex: Int) -> Int {
    precondition((0..<globalCount).contains(globalIndex), "the index is outside the dimension")
    return globalIndex / blockLength % coordinateCount
  }

  /// Where this process has a global index.
  ///
  /// - Parameter globalIndex: 0 to `globalCount` − 1.
  /// - Returns: The local index, or nil if another process has it.
  public func localIndex(of globalIndex: Int) -> Int? {
    guard owner(of: globalIndex) == coordinate else { return nil }
    return globalIndex / blockLength / coordinateCount * blockLength + globalIndex % blockLength
  }

  /// Which global index this process has at a local one.
  ///
  /// - Parameter localIndex: 0 to `localCount` − 1.
  /// - Returns: The global index; it grows with the local one.
  public func globalIndex(of localIndex: Int) -> Int {
    guard let coordinate, (0..<localCount).contains(localIndex) else {
      preconditionFailure("the index is outside this process's part")
    }
    return (localIndex / blockLength * coordinateCount + coordinate) * blockLength + localIndex % blockLength
  }

  /// The stretches of this process's indices that are contiguous globally, in order.
  ///
  /// - Returns: For each block its first local index and its global indices.
  public func runs() -> [(local: Int, global: Range<Int>)] {
    stride(from: 0, to: localCount, by: blockLength).map { local in
      let start = globalIndex(of: local)
      return (local, start..<min(start + blockLength, globalCount))
    }
  }
}
