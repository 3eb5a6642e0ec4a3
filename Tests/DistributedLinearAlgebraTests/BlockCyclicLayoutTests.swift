import CScaLAPACK
import DistributedLinearAlgebra
import Testing

@Suite struct BlockCyclicLayoutTests {
  @Test("local counts are those of numroc", arguments: [1, 2, 3, 4, 7])
  func localCounts(coordinateCount: Int) {
    for globalCount in Array(0...70) + [127, 128, 129, 1000, 8192, 28672] {
      for blockLength in [1, 2, 3, 16, 64, 100] {
        for coordinate in 0..<coordinateCount {
          let layout = BlockCyclicLayout(
            globalCount: globalCount, blockLength: blockLength, coordinate: coordinate,
            coordinateCount: coordinateCount)
          let expected = numroc_(
            [Int32(globalCount)], [Int32(blockLength)], [Int32(coordinate)], [0], [Int32(coordinateCount)])
          #expect(layout.localCount == Int(expected), "\(layout)")
        }
      }
    }
  }

  @Test(
    "every global index has one owner, and the maps are inverse", arguments: [1, 2, 3, 5], [1, 3, 8, 64])
  func maps(coordinateCount: Int, blockLength: Int) {
    for globalCount in [0, 1, 7, 8, 64, 100] {
      var seen: [Int] = []
      for coordinate in 0..<coordinateCount {
        let layout = BlockCyclicLayout(
          globalCount: globalCount, blockLength: blockLength, coordinate: coordinate,
          coordinateCount: coordinateCount)
        let own = (0..<layout.localCount).map { layout.globalIndex(of: $0) }
        #expect(own == own.sorted())
        for (local, global) in own.enumerated() {
          #expect(layout.owner(of: global) == coordinate)
          #expect(layout.localIndex(of: global) == local)
        }
        for global in 0..<globalCount where !own.contains(global) {
          #expect(layout.localIndex(of: global) == nil)
        }
        #expect(layout.runs().flatMap { Array($0.global) } == own)
        seen += own
      }
      #expect(seen.sorted() == Array(0..<globalCount))
    }
  }

  @Test("a process outside the grid has nothing")
  func outside() {
    let layout = BlockCyclicLayout(globalCount: 100, blockLength: 8, coordinate: nil, coordinateCount: 2)
    #expect(layout.localCount == 0)
    #expect(layout.runs().isEmpty)
    #expect(layout.localIndex(of: 3) == nil)
  }
}

@Suite struct ProcessGridTests {
  @Test(
    "grids are near square and leave out less than a row",
    arguments: [
      (1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 2, 2), (5, 2, 2), (6, 2, 3), (7, 2, 3), (16, 4, 4), (23, 4, 5),
    ])
  func shapes(rankCount: Int, rowCount: Int, columnCount: Int) {
    let shape = ProcessGrid.shape(forRanks: rankCount)
    #expect(shape.rowCount == rowCount && shape.columnCount == columnCount)
    #expect(rankCount - rowCount * columnCount < rowCount)
  }
}
