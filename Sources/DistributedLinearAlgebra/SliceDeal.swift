/// Which rank holds which slices of a stack: contiguous runs of nearly equal length, in the order of the ranks.
///
/// Where there are more ranks than slices, the first ranks hold one each and the others none.
package struct SliceDeal: Sendable, Equatable {
  /// Slices of the stack.
  package let sliceCount: Int
  /// Ranks that hold any: all, or the first ones.
  package let holderCount: Int

  /// Deals slices to ranks.
  package init(sliceCount: Int, rankCount: Int) {
    precondition(sliceCount > 0 && rankCount > 0, "slices are dealt to ranks")
    self.sliceCount = sliceCount
    holderCount = min(sliceCount, rankCount)
  }

  /// The slices of a rank; none for a rank beyond the holders.
  package func slices(ofRank rank: Int) -> Range<Int> {
    guard rank < holderCount else { return sliceCount..<sliceCount }
    return sliceCount * rank / holderCount..<sliceCount * (rank + 1) / holderCount
  }

  /// The rank that holds a slice.
  package func holder(ofSlice slice: Int) -> Int {
    precondition((0..<sliceCount).contains(slice), "no such slice")
    // The quotient may be one too small where runs differ in length.
    let guess = slice * holderCount / sliceCount
    return slices(ofRank: guess).contains(slice) ? guess : guess + 1
  }
}
