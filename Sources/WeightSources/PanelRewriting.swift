internal import CKernels
package import Checkpoints
package import LinearAlgebra

/// A matrix as it is stored.
package struct StoredMatrix: Sendable {
  /// Its elements, row after row.
  package let bytes: [UInt8]
  /// Their type.
  package let elementType: ElementType
  /// The length of a row.
  package let columnCount: Int

  /// Bytes that fill whole rows.
  package init(_ bytes: [UInt8], _ elementType: ElementType, columnCount: Int) {
    precondition(
      columnCount > 0 && bytes.count % (columnCount * elementType.bitWidth / 8) == 0,
      "the bytes do not fill rows")
    self.bytes = bytes
    self.elementType = elementType
    self.columnCount = columnCount
  }

  /// The number of rows.
  package var rowCount: Int { bytes.count / rowByteCount }
  private var rowByteCount: Int { columnCount * elementType.bitWidth / 8 }

  /// Writes some rows in single precision.
  package func widen(_ rows: Range<Int>, into panel: MatrixView<Float>) {
    bytes.withUnsafeBytes { stored in
      guard let start = stored.baseAddress else { return }
      ckernels_widen(
        start + rows.lowerBound * rowByteCount, elementType.kernel, panel.base, rows.count * columnCount)
    }
  }

  /// The matrix with other values in a type of its own, each rounded once.
  ///
  /// Panels of rows that fit the second-level cache are widened, changed and rounded one after the other, so that a
  /// matrix never stands in memory in single precision.
  ///
  /// - Parameters:
  ///   - elementType: F32, BF16 or F16.
  ///   - change: Gets the rows of a panel and its values, and leaves other ones.
  /// - Returns: The new bytes; or the row and column of the first value that is not finite in the new type.
  package func rewritten(
    as elementType: ElementType, _ change: (Range<Int>, MatrixView<Float>) -> Void
  ) -> Rewritten {
    precondition([.f32, .bf16, .f16].contains(elementType), "weights are written as F32, BF16 or F16")
    let newRowBytes = columnCount * elementType.bitWidth / 8
    let panelRows = max(1, min(rowCount, (1 << 18) / columnCount))
    let buffer = Matrix<Float>(uninitializedRows: panelRows, columns: columnCount)
    var place: (row: Int, column: Int)?
    let result = [UInt8](unsafeUninitializedCapacity: rowCount * newRowBytes) { target, initializedCount in
      guard let start = target.baseAddress else { return }
      for first in stride(from: 0, to: rowCount, by: panelRows) {
        let rows = first..<min(first + panelRows, rowCount)
        let panel = buffer.view.rows(0..<rows.count)
        let newBytes = start + first * newRowBytes
        widen(rows, into: panel)
        change(rows, panel)
        ckernels_narrow(panel.base, elementType.kernel, newBytes, rows.count * columnCount)
        // What is stored, not what was computed: rounding may leave the type's range.
        if elementType != .f32 {
          ckernels_widen(newBytes, elementType.kernel, panel.base, rows.count * columnCount)
        }
        let index = ckernels_first_nonfinite(panel.base, rows.count * columnCount)
        if index >= 0 && place == nil { place = (first + index / columnCount, index % columnCount) }
      }
      initializedCount = rowCount * newRowBytes
    }
    return place.map { .notFinite(row: $0.row, column: $0.column) } ?? .bytes(result)
  }

  /// What became of a matrix.
  package enum Rewritten: Sendable {
    /// Its new bytes.
    case bytes([UInt8])
    /// The first value that is no finite number.
    case notFinite(row: Int, column: Int)
  }
}
