internal import CScaLAPACK
import LinearAlgebra
import MPI

/// The eigenvalues of a symmetric matrix over a grid, on every rank, and its eigenvectors over the grid.
struct DistributedEigen: ~Copyable {
  /// Descending.
  let values: [Double]
  /// Column order − 1 − i is the eigenvector of `values[i]`.
  let vectors: BlockCyclicMatrix<Double>

  /// Collective: decomposes a matrix by divide and conquer, ScaLAPACK's PDSYEVD.
  ///
  /// Tisseur and Dongarra, *A parallel divide and conquer algorithm for the symmetric eigenvalue problem on
  /// distributed memory architectures* (SIAM J. Sci. Comput. 20, 1999).
  ///
  /// - Parameters:
  ///   - matrix: Its lower triangle counts. Used up.
  ///   - workspace: For this order, block length and grid.
  ///   - grid: The matrix's.
  ///   - communicator: The grid's.
  /// - Throws: `DistributedSVDError.notConverged`, on every rank; an `MPIError` if MPI reports one.
  init(
    lowerTriangle matrix: consuming BlockCyclicMatrix<Double>, workspace: ScaLAPACKWorkspace,
    grid: borrowing ProcessGrid, over communicator: borrowing Communicator
  ) throws {
    let order = matrix.rows.globalCount
    var vectors = BlockCyclicMatrix<Double>(
      rowCount: order, columnCount: order, blockLength: matrix.rows.blockLength, grid: grid)
    var ascending = [Double](repeating: 0, count: order)
    var info: Int32 = 0
    if grid.place != nil {
      var work = Matrix<Double>(uninitializedRows: 1, columns: workspace.count)
      var integerWork = [Int32](repeating: 0, count: workspace.integerCount)
      let aDescriptor = matrix.descriptor
      let zDescriptor = vectors.descriptor
      matrix.storage.withMutableElements { a in
        vectors.storage.withMutableElements { z in
          work.withMutableElements { work in
            pdsyevd_(
              "V", "L", [Int32(order)], a.baseAddress, [1], [1], aDescriptor, &ascending, z.baseAddress, [1],
              [1], zDescriptor, work.baseAddress, [Int32(workspace.count)], &integerWork,
              [Int32(workspace.integerCount)], &info, 1, 1)
          }
        }
      }
    }
    if info < 0 { fatalError("pdsyevd: argument \(-info) has an illegal value (order \(order))") }
    // A matrix of one block is decomposed by the rank that has it: only there are `info` and the values right.
    let worst = try communicator.allReduce([Double(info)], .max)[0]
    guard worst == 0 else {
      throw DistributedSVDError.notConverged(
        routine: "pdsyevd", rowCount: order, columnCount: order, info: Int(worst))
    }
    let isFirst = communicator.rank == 0
    values = try communicator.allReduce(
      isFirst ? ascending.reversed() : [Double](repeating: 0, count: order), .sum)
    self.vectors = vectors
  }

  /// Collective: gives the eigenvectors of the largest eigenvalues to every rank, rounded to single precision.
  ///
  /// Uses the decomposition up, since the distributed eigenvectors are the larger part of a rank's memory.
  ///
  /// - Parameters:
  ///   - count: At most the order.
  ///   - panelElementCount: Doubles that a rank holds meanwhile, besides one vector at least.
  ///   - communicator: The grid's.
  /// - Returns: Row i is the eigenvector of `values[i]`.
  /// - Throws: An `MPIError` if MPI reports one.
  consuming func leadingRows(
    _ count: Int, panelElementCount: Int, over communicator: borrowing Communicator
  ) throws -> Matrix<Float> {
    let order = values.count
    let result = Matrix<Float>(uninitializedRows: count, columns: order)
    let panelLength = max(1, min(count, panelElementCount / max(1, order)))
    let scratch = Matrix<Double>(uninitializedRows: panelLength, columns: order)
    for start in stride(from: 0, to: count, by: panelLength) {
      let range = start..<min(start + panelLength, count)
      let panel = scratch.view.rows(0..<range.count)
      try vectors.readColumns((order - range.upperBound)..<(order - start), into: panel, over: communicator)
      for row in range {
        let (wide, narrow) = (panel.row(range.upperBound - 1 - row), result.view.row(row))
        for column in narrow.indices { narrow[column] = Float(wide[column]) }
      }
    }
    return result
  }
}
