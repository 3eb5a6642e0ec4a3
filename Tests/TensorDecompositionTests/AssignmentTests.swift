import LinearAlgebra
import TensorDecomposition
import Testing

@Suite struct AssignmentTests {
  @Test("the sum is the largest of all assignments", arguments: 1...7)
  func bruteForce(count: Int) {
    for extra in 0...2 {
      for seed: UInt64 in 1...5 {
        let columns = count + extra
        let values = Matrix<Double>(
          normal: CounterRandom(seed: seed, name: "values"), rows: count, columns: columns, block: count)
        let found = Assignment(rowCount: count, columnCount: columns) { values[$0, $1] }
        #expect(Set(found.columns).count == count)
        let sum = found.columns.enumerated().reduce(0) { $0 + values[$1.offset, $1.element] }
        #expect(abs(found.total - sum) < 1e-14)
        #expect(abs(found.total - best(values.elements, columns, 0, [])) < 1e-12)
      }
      if count == 7 { break }
    }
  }

  /// The best sum over the rows from one on, without the columns that are taken.
  private func best(_ values: [Double], _ columns: Int, _ row: Int, _ taken: Set<Int>) -> Double {
    guard row * columns < values.count else { return 0 }
    return (0..<columns).filter { !taken.contains($0) }
      .map { values[row * columns + $0] + best(values, columns, row + 1, taken.union([$0])) }.max() ?? 0
  }

  @Test("greedy choice would be wrong here, and ties are allowed")
  func notGreedy() {
    let values = [[10.0, 9], [9, 1]]
    #expect(Assignment(rowCount: 2, columnCount: 2) { values[$0][$1] }.total == 18)
    #expect(Set(Assignment(rowCount: 3, columnCount: 3) { _, _ in 1 }.columns).count == 3)
    #expect(Assignment(rowCount: 0, columnCount: 0) { _, _ in 1 }.columns.isEmpty)
  }
}
