import LinearAlgebra
import MPI

/// Collective: makes the largest entry of every left vector positive, so that equal inputs give equal factors.
///
/// Of equally large entries the one with the smallest index counts, wherever the long side is cut.
///
/// - Parameters:
///   - longRows: k × this rank's part of the long side.
///   - shortRows: k × s, the same on every rank.
///   - slab: Says which of the two are the left vectors.
///   - communicator: The slab's.
/// - Throws: An `MPIError` if MPI reports one.
func fixSigns(
  longRows: MatrixView<Float>, shortRows: MatrixView<Float>, of slab: LongSideSlab,
  over communicator: borrowing Communicator
) throws {
  let isNegative =
    slab.isWide
    ? (0..<shortRows.rowCount).map { row in
      shortRows.largestColumn(inRow: row).map { shortRows.row(row)[$0] < 0 } ?? false
    } : try largestIsNegative(longRows, firstIndex: slab.firstIndex, over: communicator)
  for (row, isNegative) in isNegative.enumerated() where isNegative {
    longRows.scaleRow(row, by: -1)
    shortRows.scaleRow(row, by: -1)
  }
}

private func largestIsNegative(
  _ rows: MatrixView<Float>, firstIndex: Int, over communicator: borrowing Communicator
) throws -> [Bool] {
  let own = (0..<rows.rowCount).map { rows.largestColumn(inRow: $0) }
  let magnitudes = own.enumerated().map { row, column in
    column.map { Double(abs(rows.row(row)[$0])) } ?? -1
  }
  let largest = try communicator.allReduce(magnitudes, .max)
  // Index and sign in one number, exact up to indices of 2⁵²: the least of them is the first entry's.
  let keys = own.enumerated().map { row, column in
    guard let column, magnitudes[row] == largest[row] else { return Double.infinity }
    return Double(2 * (firstIndex + column) + (rows.row(row)[column] < 0 ? 1 : 0))
  }
  return try communicator.allReduce(keys, .min).map { $0.truncatingRemainder(dividingBy: 2) == 1 }
}
