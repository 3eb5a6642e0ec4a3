internal import CScaLAPACK
public import LinearAlgebra
public import MPI

/// ScaLAPACK's own SVD (PSGESVD), to compare with; `DistributedSVD` is for use.
///
/// Its bidiagonal QR iteration runs whole on every rank, so it does not get faster with ranks; `unbraid-bench exact
/// --against-psgesvd` times it. Its workspace is computed here in 64 bits and never asked for; see
/// `ScaLAPACKWorkspace`. Every rank has the matrix and the result.
public struct ReferenceSVD: ~Copyable {
  /// All min(m, n) singular values, descending.
  public let values: [Double]
  /// Left singular vectors as rows, min(m, n) × m.
  public let leftRows: Matrix<Float>
  /// Right singular vectors as rows, min(m, n) × n.
  public let rightRows: Matrix<Float>

  /// Collective: decomposes a matrix of finite entries.
  ///
  /// - Parameters:
  ///   - matrix: The same on every rank, with one entry at least.
  ///   - blockLength: Rows and columns of a block, the same on every rank.
  ///   - communicator: The ranks that take part.
  /// - Throws: A `DistributedSVDError`, the same on every rank; an `MPIError` if MPI reports one.
  public init(
    of matrix: borrowing Matrix<Float>, blockLength: Int = 64, over communicator: borrowing Communicator
  ) throws {
    let (rowCount, columnCount) = matrix.shape
    let size = min(rowCount, columnCount)
    // Column-major ScaLAPACK reads the row-major A as Aᵀ, whose SVD is V·Σ·Uᵀ: its left vectors are ours on the
    // right.
    let workspace = try ScaLAPACKWorkspace.psgesvd(
      rowCount: columnCount, columnCount: rowCount, blockLength: blockLength,
      gridShape: ProcessGrid.shape(forRanks: communicator.size))
    let grid = ProcessGrid(over: communicator)
    var a = BlockCyclicMatrix<Float>(
      rowCount: columnCount, columnCount: rowCount, blockLength: blockLength, grid: grid)
    a.fillColumns(0..<rowCount, from: matrix.view)
    var v = BlockCyclicMatrix<Float>(
      rowCount: columnCount, columnCount: size, blockLength: blockLength, grid: grid)
    var u = BlockCyclicMatrix<Float>(
      rowCount: size, columnCount: rowCount, blockLength: blockLength, grid: grid)
    var values = [Float](repeating: 0, count: size)
    var info: Int32 = 0
    if grid.place != nil {
      info = Self.decompose(&a, into: &values, &v, &u, workCount: workspace.count)
    }
    if info < 0 {
      fatalError("psgesvd: argument \(-info) has an illegal value (\(rowCount) × \(columnCount))")
    }
    let worst = Int(try communicator.allReduce([Double(info)], .max)[0])
    guard worst <= size else {
      throw DistributedSVDError.ranksDisagree(
        routine: "psgesvd", rowCount: rowCount, columnCount: columnCount)
    }
    guard worst == 0 else {
      throw DistributedSVDError.notConverged(
        routine: "psgesvd", rowCount: rowCount, columnCount: columnCount, info: worst)
    }
    // Ranks outside the grid have no values yet.
    let own = communicator.rank == 0 ? values.map { Double($0) } : [Double](repeating: 0, count: size)
    let allValues = try communicator.allReduce(own, .sum)
    let rightRows = Matrix<Float>(uninitializedRows: size, columns: columnCount)
    try v.readColumns(0..<size, into: rightRows.view, over: communicator)
    let left = Matrix<Float>(uninitializedRows: rowCount, columns: size)
    try u.readColumns(0..<rowCount, into: left.view, over: communicator)
    self.values = allValues
    leftRows = left.transposed()
    self.rightRows = rightRows
  }

  private static func decompose(
    _ a: inout BlockCyclicMatrix<Float>, into values: inout [Float], _ v: inout BlockCyclicMatrix<Float>,
    _ u: inout BlockCyclicMatrix<Float>, workCount: Int
  ) -> Int32 {
    var work = Matrix<Float>(uninitializedRows: 1, columns: workCount)
    let shape = (rowCount: Int32(a.rows.globalCount), columnCount: Int32(a.columns.globalCount))
    let (aDescriptor, vDescriptor, uDescriptor) = (a.descriptor, v.descriptor, u.descriptor)
    var info: Int32 = 0
    a.storage.withMutableElements { a in
      v.storage.withMutableElements { v in
        u.storage.withMutableElements { u in
          work.withMutableElements { work in
            psgesvd_(
              "V", "V", [shape.rowCount], [shape.columnCount], a.baseAddress, [1], [1], aDescriptor, &values,
              v.baseAddress, [1], [1], vDescriptor, u.baseAddress, [1], [1], uDescriptor, work.baseAddress,
              [Int32(workCount)], &info, 1, 1)
          }
        }
      }
    }
    return info
  }
}
