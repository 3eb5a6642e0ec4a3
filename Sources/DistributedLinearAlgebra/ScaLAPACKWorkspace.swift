/// What ScaLAPACK's routines need, from their documentation in 64-bit integers.
///
/// Never from a workspace query: PSGESVD returns its answer in single precision, rounded below what it then
/// demands (scalapack issue 105), and both queries compute in 32 bits, which overflow unnoticed. The numbers
/// are those of coordinate (0, 0), which has most, so that all ranks accept or refuse alike.
package struct ScaLAPACKWorkspace: Equatable {
  /// Elements of the work array.
  package let count: Int
  /// Elements of the integer work array; 0 if there is none.
  package let integerCount: Int

  /// The largest number of elements and the largest index of a 32-bit library.
  package static let limit = Int(Int32.max)

  /// For PDSYEVD of a symmetric matrix, all eigenvectors.
  ///
  /// - Throws: `DistributedSVDError.tooLarge`.
  package static func pdsyevd(
    order: Int, blockLength: Int, gridShape: (rowCount: Int, columnCount: Int)
  ) throws(DistributedSVDError) -> Self {
    let localRows = largestPart(order, blockLength, gridShape.rowCount)
    let localColumns = largestPart(order, blockLength, gridShape.columnCount)
    let reduction = 3 * order + max(blockLength * (localRows + 1), 3 * blockLength)
    let documented = max(1 + 6 * order + 2 * localRows * localColumns, reduction) + 2 * order
    let result = Self(
      count: documented + margin(localRows, localColumns, blockLength),
      integerCount: 7 * order + 8 * gridShape.columnCount + 2)
    try check(
      result.count, "pdsyevd", rowCount: order, columnCount: order, gridShape: gridShape, limit: limit)
    return result
  }

  /// For PSGESVD of a matrix, min(m, n) vectors of both sides.
  ///
  /// - Throws: `DistributedSVDError.tooLarge`, also for parts of 2 GiB, which P?GEMR2D cannot send (scalapack
  ///   before 2.2.2 counts their bytes in 32 bits).
  package static func psgesvd(
    rowCount: Int, columnCount: Int, blockLength: Int, gridShape: (rowCount: Int, columnCount: Int)
  ) throws(DistributedSVDError) -> Self {
    let rankCount = gridShape.rowCount * gridShape.columnCount
    let size = min(rowCount, columnCount)
    let localRows = largestPart(rowCount, blockLength, gridShape.rowCount)
    let localColumns = largestPart(columnCount, blockLength, gridShape.columnCount)
    let sizeRows = largestPart(size, blockLength, gridShape.rowCount)
    let sizeColumns = largestPart(size, blockLength, gridShape.columnCount)
    // The names of the documentation, with m and n equal blocks.
    let bidiagonal = max(
      max(localRows, blockLength * (localRows + localColumns + 1) + localColumns), localRows, localColumns)
    let triangle = blockLength * (blockLength - 1) / 2
    let square = blockLength * blockLength
    let leftTurn = max(triangle, (sizeColumns + localRows) * blockLength) + square
    let rightTurn = max(triangle, (sizeRows + localColumns) * blockLength) + square
    let leftPart = size * largestPart(rowCount, 1, rankCount)
    let rightPart = size * largestPart(columnCount, 1, rankCount)
    let vectors = leftPart + rightPart + max(max(1, 4 * size), leftTurn, rightTurn)
    let documented = 1 + 6 * max(rowCount, columnCount) + max(bidiagonal, vectors)
    let result = Self(count: documented + margin(localRows, localColumns, blockLength), integerCount: 0)
    try check(
      result.count, "psgesvd", rowCount: rowCount, columnCount: columnCount, gridShape: gridShape,
      limit: limit)
    try check(
      max(leftPart, rightPart), "psgesvd", rowCount: rowCount, columnCount: columnCount,
      gridShape: gridShape, limit: limit / MemoryLayout<Float>.stride)
    return result
  }

  /// Room for what inner routines take beyond the documentation of the outer one.
  private static func margin(_ localRows: Int, _ localColumns: Int, _ blockLength: Int) -> Int {
    4 * blockLength * (localRows + localColumns + blockLength)
  }

  private static func largestPart(_ count: Int, _ blockLength: Int, _ coordinateCount: Int) -> Int {
    BlockCyclicLayout(
      globalCount: count, blockLength: blockLength, coordinate: 0, coordinateCount: coordinateCount
    ).localCount
  }

  private static func check(
    _ count: Int, _ routine: String, rowCount: Int, columnCount: Int,
    gridShape: (rowCount: Int, columnCount: Int), limit: Int
  ) throws(DistributedSVDError) {
    guard count > limit else { return }
    throw .tooLarge(
      routine: routine, rowCount: rowCount, columnCount: columnCount,
      rankCount: gridShape.rowCount * gridShape.columnCount, elementCount: count, limit: limit)
  }
}
