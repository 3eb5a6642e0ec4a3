internal import CKernels

// Sums over long vectors of single-precision entries, in double precision by panels: the parts of a Gram matrix
// that a rank of a distributed computation forms. Why double precision: see `gramMatrix`.

/// C ← C + A·Aᵀ restricted to some rows of it, from their first diagonal entry to the right.
///
/// - Parameters:
///   - factor: A, whose rows are the vectors.
///   - rows: Rows of A·Aᵀ.
///   - result: `rows.count` × (order − `rows.lowerBound`): its column 0 is column `rows.lowerBound` of A·Aᵀ.
///     On and above the diagonal every entry is added to; below, some entries are.
package func addGramRows(
  _ factor: some Factor<Float>, rows: Range<Int>, into result: MatrixView<Double>
) {
  let block = factor.stored
  let isAsStored = factor.orientation == .asStored
  let (order, length) =
    isAsStored ? (block.rowCount, block.columnCount) : (block.columnCount, block.rowCount)
  let vectors = rows.lowerBound..<order
  precondition(result.rowCount == rows.count && result.columnCount == vectors.count, "rows do not fit")
  let relevant = isAsStored ? block.rows(vectors) : block.columns(vectors)
  let panel = WidePanel(vectorCount: vectors.count, length: length)
  for range in panel.ranges {
    let part = panel.widened(isAsStored ? relevant.columns(range) : relevant.rows(range))
    // Blocks of rows that end at the diagonal halve the work against whole rows.
    for start in stride(from: 0, to: rows.count, by: gramBlockLength) {
      let own = start..<min(start + gramBlockLength, rows.count)
      let rest = start..<vectors.count
      let target = result.rows(own).columns(rest)
      if isAsStored {
        multiply(part.rows(own), part.rows(rest).transposed, into: target, beta: 1)
      } else {
        multiply(part.columns(own).transposed, part.columns(rest), into: target, beta: 1)
      }
    }
  }
}

/// C ← C + A·Bᵀ for blocks of vectors as rows, over the same long side.
///
/// - Parameters:
///   - left: A, a × l.
///   - right: B, b × l.
///   - result: C, a × b.
package func addInnerProducts(
  _ left: MatrixView<Float>, _ right: MatrixView<Float>, into result: MatrixView<Double>
) {
  precondition(left.columnCount == right.columnCount, "vectors differ in length")
  let leftPanel = WidePanel(vectorCount: left.rowCount, length: left.columnCount)
  let rightPanel = WidePanel(vectorCount: max(left.rowCount, right.rowCount), length: left.columnCount)
  for range in rightPanel.ranges {
    let part = leftPanel.widened(left.columns(range))
    multiply(part, rightPanel.widened(right.columns(range)).transposed, into: result, beta: 1)
  }
}

/// Rows of a Gram matrix that are multiplied at once.
private let gramBlockLength = 256

/// Scratch for a stretch of many vectors in double precision.
private struct WidePanel: ~Copyable {
  /// The stretches, in order; short enough for the cache, long enough for a fast product.
  let ranges: [Range<Int>]
  private let scratch: Matrix<Double>

  init(vectorCount: Int, length: Int) {
    let panelLength = max(1, min(length, max(128, 262_144 / max(1, vectorCount))))
    ranges = stride(from: 0, to: length, by: panelLength).map { $0..<min($0 + panelLength, length) }
    scratch = Matrix(uninitializedRows: panelLength, columns: vectorCount)
  }

  /// A dense copy, valid until the next call.
  func widened(_ part: MatrixView<Float>) -> MatrixView<Double> {
    precondition(part.rowCount * part.columnCount <= scratch.count, "the stretch exceeds the panel")
    ckernels_widen_block(part.base, part.stride, part.rowCount, part.columnCount, scratch.view.base)
    return MatrixView(
      base: scratch.view.base, rowCount: part.rowCount, columnCount: part.columnCount,
      stride: part.columnCount)
  }
}

extension MatrixView where Element == Float {
  /// The column of the entry of a row with the largest magnitude, the first of equals; nil for no columns.
  package func largestColumn(inRow row: Int) -> Int? {
    let column = ckernels_largest_magnitude(base + row * stride, columnCount)
    return column < 0 ? nil : column
  }
}
