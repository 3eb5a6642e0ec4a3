internal import Foundation
import LinearAlgebra
import MPI

/// Collective: 4^−exponent·BᵀB in double precision, dealt out over a grid; the lower triangle only.
///
/// Panel by panel: each rank forms its part of some rows, the parts are added up on all ranks, and each rank
/// keeps what is its own. No rank ever has the whole: s × panel and its share of s².
///
/// - Throws: An `MPIError` if MPI reports one.
func distributedGram(
  of slab: LongSideSlab, exponent: Int, options: DistributedSVD.Options, grid: borrowing ProcessGrid,
  over communicator: borrowing Communicator
) throws -> BlockCyclicMatrix<Double> {
  let order = slab.shortLength
  let gram = BlockCyclicMatrix<Double>(
    rowCount: order, columnCount: order, blockLength: options.blockLength, grid: grid)
  let panelLength = max(1, min(order, options.panelElementCount / max(1, order)))
  let scale = scalbn(1, -2 * exponent)
  for start in stride(from: 0, to: order, by: panelLength) {
    let range = start..<min(start + panelLength, order)
    // Rows of a symmetric matrix from the diagonal on are columns of its lower triangle.
    var panel = Matrix<Double>(repeating: 0, rows: range.count, columns: order - start)
    slab.addGramRows(range, into: panel.view)
    try communicator.sum(panel.view)
    panel.withMutableElements { entries in
      for index in entries.indices { entries[index] *= scale }
    }
    gram.fillColumns(range, from: panel.view, firstRow: start)
  }
  return gram
}
