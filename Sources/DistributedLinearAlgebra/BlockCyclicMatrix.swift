internal import CScaLAPACK
package import LinearAlgebra
package import MPI

/// A matrix dealt out block-cyclically over a process grid, column-major within a rank as ScaLAPACK wants it.
///
/// The local part is kept as a row-major matrix whose rows are the local columns, so a panel of columns goes in
/// and comes out as rows, where each vector is contiguous. Blocks are square: P?GESVD and PDSYEVD demand it.
package struct BlockCyclicMatrix<Element: MPINumber & Sendable>: ~Copyable {
  package let rows: BlockCyclicLayout
  package let columns: BlockCyclicLayout
  /// Local columns × local rows.
  package var storage: Matrix<Element>
  /// ScaLAPACK's nine integers; the context in it is −1 outside the grid.
  package let descriptor: [Int32]

  /// Allocates the local part, which holds zeros.
  ///
  /// The caller has checked the sizes with `ScaLAPACKWorkspace`.
  package init(rowCount: Int, columnCount: Int, blockLength: Int, grid: borrowing ProcessGrid) {
    rows = grid.rowLayout(count: rowCount, blockLength: blockLength)
    columns = grid.columnLayout(count: columnCount, blockLength: blockLength)
    // An empty part has an address too, as Fortran wants it.
    storage = Matrix(repeating: Element.zero, rows: columns.localCount, columns: rows.localCount)
    var descriptor = [Int32](repeating: -1, count: 9)
    if grid.place != nil {
      var info: Int32 = 0
      let block = Int32(blockLength)
      descinit_(
        &descriptor, [Int32(rowCount)], [Int32(columnCount)], [block], [block], [0], [0], [grid.context],
        [Int32(max(1, rows.localCount))], &info)
      if info != 0 {
        fatalError("descinit: argument \(-info) has an illegal value (\(rowCount) × \(columnCount))")
      }
    }
    self.descriptor = descriptor
  }

  /// Takes this rank's part of some columns that every rank has.
  ///
  /// - Parameters:
  ///   - range: Global columns.
  ///   - panel: Column `range.lowerBound + j` as row j, from global row `firstRow` to the end.
  ///   - firstRow: Rows before it are left as they are.
  package func fillColumns(_ range: Range<Int>, from panel: MatrixView<Element>, firstRow: Int = 0) {
    precondition(
      panel.rowCount == range.count && panel.columnCount == rows.globalCount - firstRow,
      "the panel does not fit")
    forEachOwnColumn(in: range) { column, local in
      let (source, target) = (panel.row(column - range.lowerBound), storage.view.row(local))
      for run in rows.runs() {
        for row in run.global where row >= firstRow {
          target[run.local + row - run.global.lowerBound] = source[row - firstRow]
        }
      }
    }
  }

  /// Collective: gives some columns to every rank, also to those outside the grid.
  ///
  /// As one sum of the ranks' parts, which are zero where a rank has nothing: twice the traffic of a gather,
  /// without its bookkeeping, and exact.
  ///
  /// - Parameters:
  ///   - range: Global columns.
  ///   - panel: Dense; receives column `range.lowerBound + j` as row j.
  ///   - communicator: The grid's.
  /// - Throws: An `MPIError` if MPI reports one.
  package func readColumns(
    _ range: Range<Int>, into panel: MatrixView<Element>, over communicator: borrowing Communicator
  ) throws(MPIError) {
    precondition(
      panel.rowCount == range.count && panel.columnCount == rows.globalCount, "the panel does not fit")
    panel.fill(Element.zero)
    forEachOwnColumn(in: range) { column, local in
      let (source, target) = (storage.view.row(local), panel.row(column - range.lowerBound))
      for run in rows.runs() {
        for row in run.global { target[row] = source[run.local + row - run.global.lowerBound] }
      }
    }
    try communicator.sum(panel)
  }

  private func forEachOwnColumn(in range: Range<Int>, _ body: (Int, Int) -> Void) {
    for run in columns.runs() where run.global.overlaps(range) {
      for column in run.global.clamped(to: range) { body(column, run.local + column - run.global.lowerBound) }
    }
  }
}

extension Communicator {
  /// Collective: adds up the ranks' matrices in their place; a dense block of the same shape on every rank.
  package func sum<Element: MPINumber>(_ view: MatrixView<Element>) throws(MPIError) {
    precondition(view.stride == view.columnCount || view.rowCount <= 1, "only a dense block is one message")
    let count = view.rowCount * view.columnCount
    try allReduce(inPlace: UnsafeMutableBufferPointer(start: view.base, count: count), .sum)
  }
}
