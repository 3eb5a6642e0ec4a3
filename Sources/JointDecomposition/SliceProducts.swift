internal import LinearAlgebra

/// The products of one slice with blocks of vectors on both sides: T = A·X and Z = Yᵀ·A, with one read of A.
///
/// A is walked over in tiles that stay in the second-level cache for both products. Ranges of columns go to threads;
/// the parts of T are added in the order of the ranges, however many threads there are.
struct SliceProducts {
  /// T, m × b; nil if there was no X.
  let images: SharedMatrix<Float>?
  /// Z, c × n; nil if there was no Y.
  let transposedImages: SharedMatrix<Float>?

  private static let tileRows = 256
  private static let tileColumns = 512
  /// Ranges of columns at most: each has a T of its own.
  private static let largestRangeCount = 8

  /// Multiplies a slice.
  ///
  /// - Parameters:
  ///   - a: The slice, m × n.
  ///   - right: X, n × b, with b a multiple of `blockMultiple`; nil if only Z is wanted.
  ///   - left: Y, m × c, likewise; nil if only T is wanted.
  ///   - threadCount: Threads to use.
  init(
    of a: MatrixView<Float>, right: MatrixView<Float>? = nil, left: MatrixView<Float>? = nil, threadCount: Int
  ) {
    let tiles = max(1, (a.columnCount + Self.tileColumns - 1) / Self.tileColumns)
    let width = (tiles + Self.largestRangeCount - 1) / Self.largestRangeCount * Self.tileColumns
    let ranges = stride(from: 0, to: max(1, a.columnCount), by: width).map {
      $0..<min($0 + width, a.columnCount)
    }
    let parts = ranges.map { _ in
      right.map { SharedMatrix(Matrix<Float>(repeating: 0, rows: a.rowCount, columns: $0.columnCount)) }
    }
    let z = left.map {
      SharedMatrix(Matrix<Float>(repeating: 0, rows: $0.columnCount, columns: a.columnCount))
    }
    inParallel(ranges.count, threadCount: threadCount) { number in
      Self.multiply(
        a, ranges[number], right, left, images: parts[number]?.matrix.view, transposedImages: z?.matrix.view)
    }
    for case let part? in parts.dropFirst() { parts[0]?.matrix.view.add(part.matrix.view) }
    images = parts[0]
    transposedImages = z
  }

  private static func multiply(
    _ a: MatrixView<Float>, _ range: Range<Int>, _ right: MatrixView<Float>?, _ left: MatrixView<Float>?,
    images: MatrixView<Float>?, transposedImages: MatrixView<Float>?
  ) {
    for column in stride(from: range.lowerBound, to: range.upperBound, by: tileColumns) {
      let columns = column..<min(column + tileColumns, range.upperBound)
      for row in stride(from: 0, to: a.rowCount, by: tileRows) {
        let rows = row..<min(row + tileRows, a.rowCount)
        let tile = a.rows(rows).columns(columns)
        if let right, let images {
          blockProduct(tile, right.rows(columns), into: images.rows(rows), accumulates: true)
        }
        if let left, let transposedImages {
          addTransposedProduct(tile, left.rows(rows), into: transposedImages.columns(columns))
        }
      }
    }
  }
}

/// Blocks of vectors that products take hold a multiple of this many; what is added is zero.
let blockMultiple = 16

/// Vectors that are rows, as the columns of a block that products take.
func blockColumns(_ vectors: MatrixView<Float>) -> Matrix<Float> {
  let count = (vectors.rowCount + blockMultiple - 1) / blockMultiple * blockMultiple
  let columns = Matrix<Float>(repeating: 0, rows: vectors.columnCount, columns: count)
  vectors.transpose(into: columns.view.columns(0..<vectors.rowCount))
  return columns
}
