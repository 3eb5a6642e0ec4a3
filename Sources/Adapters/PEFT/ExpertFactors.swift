/// The factors of all experts of a fused parameter as PEFT stores them, gathered expert by expert.
///
/// Those of an expert that is not taken are zeros: its matrix did not change.
struct ExpertFactors {
  /// Row e·r + k is component k of expert e.
  private(set) var a: [UInt8]
  /// Column k·E + e is component k of expert e.
  private(set) var b: [UInt8]
  /// r, of each expert.
  let rank: Int
  private let count: Int
  private let rowBytesOfA: Int
  private let outputCount: Int
  private let width: Int

  /// Zeros for all experts.
  ///
  /// - Parameters:
  ///   - count: E, the number of experts.
  ///   - rank: r, that of each expert.
  ///   - inputCount: Columns of A.
  ///   - outputCount: Rows of B.
  ///   - width: Bytes of an entry.
  init(count: Int, rank: Int, inputCount: Int, outputCount: Int, width: Int) {
    self.count = count
    self.rank = rank
    self.outputCount = outputCount
    self.width = width
    rowBytesOfA = inputCount * width
    a = [UInt8](repeating: 0, count: count * rank * rowBytesOfA)
    b = [UInt8](repeating: 0, count: outputCount * rank * count * width)
  }

  /// Puts the factors of one expert in their places.
  ///
  /// - Parameters:
  ///   - ownA: Rank × in, as stored.
  ///   - ownB: Out × rank, as stored.
  ///   - ownRank: At most r; the other components stay zeros.
  ///   - expert: Which.
  mutating func take(a ownA: [UInt8], b ownB: [UInt8], rank ownRank: Int, expert: Int) {
    precondition(ownRank <= rank, "the factors are larger than the layout says")
    let start = expert * rank * rowBytesOfA
    a.replaceSubrange(start..<start + ownRank * rowBytesOfA, with: ownA)
    for row in 0..<outputCount {
      for component in 0..<ownRank {
        let source = (row * ownRank + component) * width
        let target = ((row * rank + component) * count + expert) * width
        for byte in 0..<width { b[target + byte] = ownB[source + byte] }
      }
    }
  }
}

/// The columns of B, out × rank, with zeros behind each row's own.
func paddedColumns(_ b: [UInt8], from rank: Int, to stored: Int, outputCount: Int, width: Int) -> [UInt8] {
  guard rank < stored else { return b }
  let zeros = [UInt8](repeating: 0, count: (stored - rank) * width)
  var padded: [UInt8] = []
  padded.reserveCapacity(outputCount * stored * width)
  for row in 0..<outputCount {
    padded += b[row * rank * width..<(row + 1) * rank * width]
    padded += zeros
  }
  return padded
}
