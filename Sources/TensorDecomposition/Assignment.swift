/// The assignment of rows to columns with the largest sum: the Hungarian method with potentials, O(n²·m).
///
/// Kuhn (1955); the shortest augmenting paths of Jonker and Volgenant (1987).
public struct Assignment: Sendable {
  /// The column of each row.
  public let columns: [Int]
  /// The sum of the entries chosen.
  public let total: Double

  /// Assigns every row a column of its own.
  ///
  /// - Parameters:
  ///   - rowCount: Rows, no more than columns.
  ///   - columnCount: Columns.
  ///   - value: The finite worth of a row and a column together.
  public init(rowCount: Int, columnCount: Int, value: (_ row: Int, _ column: Int) -> Double) {
    precondition(rowCount <= columnCount, "every row needs a column of its own")
    // Index 0 stands for "none" on both sides; costs are negated values.
    var rowPotential = [Double](repeating: 0, count: rowCount + 1)
    var columnPotential = [Double](repeating: 0, count: columnCount + 1)
    var rowOfColumn = [Int](repeating: 0, count: columnCount + 1)
    for row in 1..<rowCount + 1 {
      var previous = [Int](repeating: 0, count: columnCount + 1)
      var distance = [Double](repeating: .infinity, count: columnCount + 1)
      var isDone = [Bool](repeating: false, count: columnCount + 1)
      rowOfColumn[0] = row
      var column = 0
      repeat {
        isDone[column] = true
        let current = rowOfColumn[column]
        var (step, next) = (Double.infinity, 0)
        for other in 1..<columnCount + 1 where !isDone[other] {
          let reduced = -value(current - 1, other - 1) - rowPotential[current] - columnPotential[other]
          if reduced < distance[other] { (distance[other], previous[other]) = (reduced, column) }
          if distance[other] < step { (step, next) = (distance[other], other) }
        }
        for other in 0..<columnCount + 1 {
          if isDone[other] {
            rowPotential[rowOfColumn[other]] += step
            columnPotential[other] -= step
          } else {
            distance[other] -= step
          }
        }
        column = next
      } while rowOfColumn[column] != 0
      // Along the path back every column takes the row of the one before it.
      while column != 0 {
        rowOfColumn[column] = rowOfColumn[previous[column]]
        column = previous[column]
      }
    }
    var found = [Int](repeating: 0, count: rowCount)
    for column in 1..<columnCount + 1 where rowOfColumn[column] > 0 {
      found[rowOfColumn[column] - 1] = column - 1
    }
    columns = found
    total = found.enumerated().reduce(0) { $0 + value($1.offset, $1.element) }
  }
}
