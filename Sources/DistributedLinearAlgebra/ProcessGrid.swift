internal import CScaLAPACK
public import MPI

/// A near-square grid of the first ranks of a communicator, as the BLACS know it.
///
/// ⌊√p⌋ rows and as many columns as p ranks then fill. Less than one row of ranks, ⌊√p⌋ − 1 at most, stays
/// outside, as with 5 or 7 ranks: a 1 × 7 grid would make every row operation of an eigensolver wait for one
/// rank at a time. Rank r of the communicator is at row ⌊r / columns⌋ and column r mod columns.
///
/// The grid holds communicators of its own, which end with it.
public struct ProcessGrid: ~Copyable {
  /// Ranks of a column.
  public let rowCount: Int
  /// Ranks of a row.
  public let columnCount: Int
  /// This rank's place; nil if it is outside the grid and takes no part in ScaLAPACK's calls.
  public let place: (row: Int, column: Int)?
  /// The BLACS context; −1 outside the grid.
  let context: Int32

  /// The shape of the grid for a number of ranks.
  ///
  /// - Parameter rankCount: 1 or more.
  /// - Returns: Rows and columns, whose product is at most the number of ranks.
  public static func shape(forRanks rankCount: Int) -> (rowCount: Int, columnCount: Int) {
    precondition(rankCount > 0, "a grid needs a rank")
    let rowCount = Int(Double(rankCount).squareRoot())
    return (rowCount, rankCount / rowCount)
  }

  /// Collective: makes the grid.
  ///
  /// - Parameter communicator: Any; it must live as long as the grid.
  public init(over communicator: borrowing Communicator) {
    let shape = Self.shape(forRanks: communicator.size)
    var rows = Int32(shape.rowCount)
    var columns = Int32(shape.columnCount)
    var context = sys2blacs_handle_([communicator.fortranHandle])
    blacs_gridinit_(&context, "R", &rows, &columns)
    self.context = context
    rowCount = shape.rowCount
    columnCount = shape.columnCount
    guard communicator.rank < shape.rowCount * shape.columnCount else {
      place = nil
      return
    }
    var row: Int32 = -1
    var column: Int32 = -1
    blacs_gridinfo_(&context, &rows, &columns, &row, &column)
    place = (Int(row), Int(column))
  }

  deinit {
    // Frees four communicators, which Open MPI does without waiting for anybody: a rank on its way out with an
    // error may come through here alone.
    if context >= 0 { blacs_gridexit_([context]) }
  }

  /// Ranks inside the grid.
  public var rankCount: Int { rowCount * columnCount }

  /// How the rows of a matrix lie over the rows of the grid.
  func rowLayout(count: Int, blockLength: Int) -> BlockCyclicLayout {
    BlockCyclicLayout(
      globalCount: count, blockLength: blockLength, coordinate: place?.row, coordinateCount: rowCount)
  }

  /// How the columns of a matrix lie over the columns of the grid.
  func columnLayout(count: Int, blockLength: Int) -> BlockCyclicLayout {
    BlockCyclicLayout(
      globalCount: count, blockLength: blockLength, coordinate: place?.column, coordinateCount: columnCount)
  }
}
