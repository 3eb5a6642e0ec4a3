import LinearAlgebra
import Testing

@Suite struct GeneralizedEigenTests {
  @Test("left vectors are dual to the common left factor of a pencil")
  func dual() throws {
    // A = P·D·Q and B = P·E·Q: a left vector x has x·P along one unit vector.
    let random = CounterRandom(seed: 1, name: "pencil")
    let left = Matrix<Double>(normal: random, rows: 6, columns: 6, block: 0)
    let right = Matrix<Double>(normal: random, rows: 6, columns: 6, block: 1)
    let first = product(left, right.scalingRows(by: [1, 2, 3, 4, 5, 6]))
    let second = product(left, right.scalingRows(by: [1, -1, 2, 1, 3, -2]))
    let found = product(try GeneralizedEigen(first, second).leftVectors, left)
    var positions: Set<Int> = []
    for row in 0..<6 {
      let entries = (0..<6).map { abs(found[row, $0]) }
      let largest = try #require(entries.indices.max { entries[$0] < entries[$1] })
      positions.insert(largest)
      for column in 0..<6 where column != largest { #expect(entries[column] < 1e-10 * entries[largest]) }
    }
    #expect(positions.count == 6)
  }
}
