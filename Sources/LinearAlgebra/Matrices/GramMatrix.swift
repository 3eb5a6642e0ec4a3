internal import CKernels

/// A·Aᵀ of single-precision entries, accumulated in double precision by panels.
///
/// Products of floats are exact in double, so the Gram matrix resolves singular values down to 1e-8 of the
/// largest: all that single-precision data can express. A Gram matrix in single precision stops at 3e-4 and
/// breaks CholeskyQR (Yamamoto et al., ETNA 44, 2015). Only the lower triangle is filled.
package func gramMatrix(_ factor: some Factor<Float>) -> Matrix<Double> {
  let order = factor.orientation == .asStored ? factor.stored.rowCount : factor.stored.columnCount
  let result = Matrix<Double>(uninitializedRows: order, columns: order)
  fillGram(of: factor, into: result.view)
  return result
}

/// The same into an existing order × order matrix, whose upper triangle becomes zero.
func fillGram(of factor: some Factor<Float>, into result: MatrixView<Double>) {
  let block = factor.stored
  let isAsStored = factor.orientation == .asStored
  let (order, length) =
    isAsStored ? (block.rowCount, block.columnCount) : (block.columnCount, block.rowCount)
  result.fill(0)
  // Half a megabyte of doubles: the panel stays in the second-level cache between its two uses.
  let panelLength = max(16, min(length, 65_536 / max(1, order)))
  let panel = Matrix<Double>(uninitializedRows: panelLength, columns: order)
  for start in stride(from: 0, to: length, by: panelLength) {
    let range = start..<min(start + panelLength, length)
    let part = isAsStored ? block.columns(range) : block.rows(range)
    let dense = MatrixView(
      base: panel.view.base, rowCount: part.rowCount, columnCount: part.columnCount, stride: part.columnCount)
    ckernels_widen_block(part.base, part.stride, part.rowCount, part.columnCount, dense.base)
    if isAsStored {
      addGram(dense, into: result)
    } else {
      addGram(dense.transposed, into: result)
    }
  }
}
