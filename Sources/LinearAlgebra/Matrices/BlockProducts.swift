internal import CKernels

/// Blocks of vectors that these products take hold a multiple of this many.
let blockGranularity = 16

/// Y ← A·X, or Y ← Y + A·X, for A m × n read where it lies, X n × b and Y m × b without gaps.
package func blockProduct(
  _ a: MatrixView<Float>, _ x: MatrixView<Float>, into y: MatrixView<Float>, accumulates: Bool = false
) {
  precondition(
    x.rowCount == a.columnCount && y.rowCount == a.rowCount && x.columnCount == y.columnCount
      && x.stride == x.columnCount && y.stride == y.columnCount
      && x.columnCount.isMultiple(of: blockGranularity), "factors of a block product do not fit")
  ckernels_block_product(
    a.base, a.stride, a.rowCount, a.columnCount, x.base, x.columnCount, accumulates ? 1 : 0, y.base)
}

/// Z ← Z + Yᵀ·A for A m × n read where it lies, Y m × b without gaps and Z b × n.
package func addTransposedProduct(_ a: MatrixView<Float>, _ y: MatrixView<Float>, into z: MatrixView<Float>) {
  precondition(
    y.rowCount == a.rowCount && z.rowCount == y.columnCount && z.columnCount == a.columnCount
      && y.stride == y.columnCount && y.columnCount.isMultiple(of: blockGranularity),
    "factors of a transposed block product do not fit")
  ckernels_add_transposed_product(
    a.base, a.stride, a.rowCount, a.columnCount, y.base, y.columnCount, z.base, z.stride)
}
