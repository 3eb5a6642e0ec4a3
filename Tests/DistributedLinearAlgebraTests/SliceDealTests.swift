import DistributedLinearAlgebra
import Testing

@Suite struct SliceDealTests {
  @Test("runs are contiguous, cover all slices, and differ by one at most", arguments: 1...17)
  func runs(slices: Int) {
    for ranks in 1...20 {
      let deal = SliceDeal(sliceCount: slices, rankCount: ranks)
      let runs = (0..<ranks).map { deal.slices(ofRank: $0) }
      #expect(runs.flatMap { Array($0) } == Array(0..<slices))
      let lengths = runs.prefix(deal.holderCount).map(\.count)
      #expect((lengths.max() ?? 0) - (lengths.min() ?? 0) <= 1)
      #expect(lengths.allSatisfy { $0 > 0 })
      for slice in 0..<slices { #expect(runs[deal.holder(ofSlice: slice)].contains(slice)) }
    }
  }
}
