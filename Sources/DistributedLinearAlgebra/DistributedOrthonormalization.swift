import LinearAlgebra
import MPI

/// Makes rows that are cut over the ranks orthonormal, in place and in their order.
///
/// Panel by panel, each projected against the rows before it and then orthonormalised by Cholesky QR, both with
/// inner products in double precision added up over the ranks. A second round follows where the first took
/// away much of a row: what is left then carries the rounding of what went ("twice is enough": Giraud,
/// Langou, Rozložník and van den Eshof, Numer. Math. 101, 2005). Memory beside the rows: panel × rows.
struct DistributedOrthonormalizer {
  let slab: LongSideSlab
  let options: DistributedSVD.Options

  /// What a round must leave of a row's length to be the last.
  private static let keptFraction = 0.7
  private static let roundLimit = 8

  /// Collective: orthonormalises all rows.
  ///
  /// - Parameters:
  ///   - rows: k × this rank's part of the long side; k is at most the whole long side.
  ///   - givenCount: Rows from this one on are drawn at random, and rows that turn out dependent on those
  ///     before them are drawn anew.
  ///   - communicator: The slab's.
  /// - Throws: `DistributedSVDError.notOrthogonal`; an `MPIError` if MPI reports one.
  func orthonormalize(
    _ rows: MatrixView<Float>, givenCount: Int, over communicator: borrowing Communicator
  ) throws {
    for row in givenCount..<rows.rowCount { fillAtRandom(rows.row(row), vector: row, round: 0) }
    for start in stride(from: 0, to: rows.rowCount, by: options.vectorPanelLength) {
      let panel = rows.rows(start..<min(start + options.vectorPanelLength, rows.rowCount))
      var round = 0
      var worst: Int? = start
      while let vector = worst {
        round += 1
        guard round <= Self.roundLimit else {
          throw DistributedSVDError.notOrthogonal(vector: vector, longLength: slab.longLength)
        }
        worst = try oneRound(panel, after: rows.rows(0..<start), round: round, over: communicator)
          .map { start + $0 }
      }
    }
  }

  /// Returns a row of the panel that needs another round, the same on every rank.
  private func oneRound(
    _ panel: MatrixView<Float>, after earlier: MatrixView<Float>, round: Int,
    over communicator: borrowing Communicator
  ) throws -> Int? {
    let projected = try project(panel, from: earlier, over: communicator)
    let gram = gramMatrix(panel)
    try communicator.sum(gram.view)
    let factor = GramCholesky(gram)
    for row in factor.dependentRows { panel.rows(row..<row + 1).fill(0) }
    solveLowerTriangular(factor.lower.view, panel)
    for row in factor.dependentRows {
      fillAtRandom(panel.row(row), vector: earlier.rowCount + row, round: round)
    }
    let unfinished = (0..<panel.rowCount).first { row in
      let length = (gram[row, row] + projected[row]).squareRoot()
      return factor.dependentRows.contains(row)
        || Double(factor.lower[row, row]) < Self.keptFraction * length
    }
    // Processors of different kinds may round a factor differently; all ranks must go on alike all the same.
    let agreed = Int(try communicator.allReduce([Double(unfinished ?? -1)], .max)[0])
    return agreed < 0 ? nil : agreed
  }

  /// Returns how much of each row's squared length was taken away.
  private func project(
    _ panel: MatrixView<Float>, from earlier: MatrixView<Float>, over communicator: borrowing Communicator
  ) throws -> [Double] {
    guard earlier.rowCount > 0 else { return [Double](repeating: 0, count: panel.rowCount) }
    let wide = Matrix<Double>(repeating: 0, rows: panel.rowCount, columns: earlier.rowCount)
    addInnerProducts(panel, earlier, into: wide.view)
    try communicator.sum(wide.view)
    let narrow = Matrix<Float>(uninitializedRows: panel.rowCount, columns: earlier.rowCount)
    var taken: [Double] = []
    for row in 0..<wide.rowCount {
      let (source, target) = (wide.view.row(row), narrow.view.row(row))
      for column in source.indices { target[column] = Float(source[column]) }
      taken.append(source.reduce(0) { $0 + $1 * $1 })
    }
    multiply(narrow.view, earlier, into: panel, alpha: -1, beta: 1)
    return taken
  }

  /// Draws a vector of length about 1 that depends on its number and not on how the long side is cut.
  private func fillAtRandom(_ entries: UnsafeMutableBufferPointer<Float>, vector: Int, round: Int) {
    // The entries have variance 1/3.
    let scale = Float((3 / Double(max(1, slab.longLength))).squareRoot())
    for index in entries.indices {
      let position = slab.firstIndex + index
      let counter = SIMD4(
        UInt32(truncatingIfNeeded: position / 4), UInt32(truncatingIfNeeded: vector),
        UInt32(truncatingIfNeeded: round), 0)
      entries[index] = scale * ((Float(options.random.words(counter)[position % 4] >> 9) + 0.5) * 0x1p-22 - 1)
    }
  }
}
