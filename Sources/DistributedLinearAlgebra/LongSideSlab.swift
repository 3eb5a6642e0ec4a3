internal import Foundation
import LinearAlgebra
import MPI

/// A rank's part of a matrix that is cut across its long side.
///
/// With A m × n, s = min(m, n) and l = max(m, n), let B be A or Aᵀ so that B is l × s. A rank has consecutive
/// rows of B: rows of A if A is tall, columns if it is wide, in either case as they lie, row-major.
struct LongSideSlab {
  let block: MatrixView<Float>
  let isWide: Bool
  /// The long sides of the ranks' slabs, in the order of the ranks.
  let lengths: [Int]
  /// Long-side indices of the ranks before this one.
  let firstIndex: Int
  /// ‖A‖_F² of the whole matrix.
  let energy: Double

  var shortLength: Int { isWide ? block.rowCount : block.columnCount }
  var localLength: Int { isWide ? block.columnCount : block.rowCount }
  var longLength: Int { lengths.reduce(0, +) }
  /// Rows and columns of the whole matrix.
  var shape: (rowCount: Int, columnCount: Int) {
    isWide ? (shortLength, longLength) : (longLength, shortLength)
  }

  /// Collective: checks that the slabs make one matrix of finite entries, and finds this rank's place in it.
  init(
    _ block: MatrixView<Float>, isWide: Bool, isFinite: Bool, over communicator: borrowing Communicator
  ) throws {
    let short = isWide ? block.rowCount : block.columnCount
    let local = isWide ? block.columnCount : block.rowCount
    let most = try communicator.allReduce([Double(short), Double(-short)], .max)
    guard most[0] == -most[1] else {
      throw DistributedSVDError.shortSidesDiffer(least: Int(-most[1]), most: Int(most[0]))
    }
    var own = [Double](repeating: 0, count: communicator.size + 2)
    own[communicator.rank] = Double(local)
    own[communicator.size] = isFinite ? 0 : 1
    own[communicator.size + 1] = isFinite ? block.sumOfSquares() : 0
    let sums = try communicator.allReduce(own, .sum)
    guard sums[communicator.size] == 0 else {
      throw DistributedSVDError.notFinite(rankCount: Int(sums[communicator.size]))
    }
    self.block = block
    self.isWide = isWide
    lengths = sums.prefix(communicator.size).map { Int($0) }
    firstIndex = lengths.prefix(communicator.rank).reduce(0, +)
    energy = sums[communicator.size + 1]
    guard short <= longLength else {
      throw DistributedSVDError.shortSideIsLonger(shortLength: short, longLength: longLength)
    }
  }

  /// X·Bᵀ·2^−exponent for short vectors as rows, b × s: this rank's part of their images, b × local length.
  ///
  /// Far from norm 1, half of the scale goes onto X and half onto the product, so that neither they nor the sums
  /// in between leave the range of a float, whatever norm A has. X is as before afterwards, but for entries
  /// below 2⁻⁶⁰, which may have been rounded.
  func applyScaled(_ vectors: MatrixView<Float>, into images: MatrixView<Float>, exponent: Int) {
    let half = abs(exponent) <= 30 ? 0 : exponent / 2
    let scale = Float(scalbn(1, -half))
    for row in 0..<vectors.rowCount { vectors.scaleRow(row, by: scale) }
    let alpha = Float(scalbn(1, half - exponent))
    if isWide {
      multiply(vectors, block, into: images, alpha: alpha)
    } else {
      multiply(vectors, block.transposed, into: images, alpha: alpha)
    }
    let back = Float(scalbn(1, half))
    for row in 0..<vectors.rowCount { vectors.scaleRow(row, by: back) }
  }

  /// Adds this rank's part of rows of BᵀB; see `addGramRows` in LinearAlgebra.
  func addGramRows(_ rows: Range<Int>, into result: MatrixView<Double>) {
    if isWide {
      LinearAlgebra.addGramRows(block, rows: rows, into: result)
    } else {
      LinearAlgebra.addGramRows(block.transposed, rows: rows, into: result)
    }
  }
}
