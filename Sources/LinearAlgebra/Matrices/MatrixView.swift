/// A row-major block inside somebody else's matrix: what BLAS calls a pointer with a leading dimension.
///
/// It owns nothing and must not outlive its matrix; it never leaves this package's kernels.
package struct MatrixView<Element: BitwiseCopyable> {
  package let base: UnsafeMutablePointer<Element>
  package let rowCount: Int
  package let columnCount: Int
  /// The distance between rows, in elements.
  package let stride: Int

  package func rows(_ range: Range<Int>) -> MatrixView {
    precondition(range.lowerBound >= 0 && range.upperBound <= rowCount, "rows outside the matrix")
    return MatrixView(
      base: base + range.lowerBound * stride, rowCount: range.count, columnCount: columnCount, stride: stride)
  }

  package func columns(_ range: Range<Int>) -> MatrixView {
    precondition(range.lowerBound >= 0 && range.upperBound <= columnCount, "columns outside the matrix")
    return MatrixView(
      base: base + range.lowerBound, rowCount: rowCount, columnCount: range.count, stride: stride)
  }

  package func row(_ index: Int) -> UnsafeMutableBufferPointer<Element> {
    UnsafeMutableBufferPointer(start: base + index * stride, count: columnCount)
  }

  /// All elements of a block whose rows lie one after the other.
  package var elements: UnsafeMutableBufferPointer<Element> {
    precondition(stride == columnCount || rowCount <= 1, "the block has gaps between its rows")
    return UnsafeMutableBufferPointer(start: base, count: rowCount * columnCount)
  }

  /// The elements of a block without gaps, in the same order, as rows of another length.
  package func reshaped(rows: Int, columns: Int) -> MatrixView {
    precondition(stride == columnCount || rowCount <= 1, "the block has gaps between its rows")
    precondition(rows * columns == rowCount * columnCount, "the shapes differ in size")
    return MatrixView(base: base, rowCount: rows, columnCount: columns, stride: columns)
  }

  package func copy(from source: MatrixView) {
    precondition(source.rowCount == rowCount && source.columnCount == columnCount, "blocks differ in shape")
    for row in 0..<rowCount {
      (base + row * stride).update(from: source.base + row * source.stride, count: columnCount)
    }
  }

  package func fill(_ value: Element) {
    for row in 0..<rowCount { (base + row * stride).update(repeating: value, count: columnCount) }
  }

  /// Writes the block with rows and columns exchanged.
  package func transpose(into result: MatrixView) {
    precondition(
      result.rowCount == columnCount && result.columnCount == rowCount, "the target has another shape")
    // Tiles keep both the rows read and the rows written in the first-level cache.
    let tile = 32
    for rowStart in Swift.stride(from: 0, to: rowCount, by: tile) {
      for columnStart in Swift.stride(from: 0, to: columnCount, by: tile) {
        for row in rowStart..<min(rowStart + tile, rowCount) {
          for column in columnStart..<min(columnStart + tile, columnCount) {
            result.base[column * result.stride + row] = base[row * stride + column]
          }
        }
      }
    }
  }
}
