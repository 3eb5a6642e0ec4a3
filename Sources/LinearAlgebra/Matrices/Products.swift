internal import COpenBLAS

/// A factor of a product: a block as it lies, or its transpose.
package protocol Factor<Element> {
  associatedtype Element: BitwiseCopyable
  var stored: MatrixView<Element> { get }
  var orientation: Orientation { get }
}

/// Whether a factor of a product is taken as it lies or transposed.
package enum Orientation {
  case asStored, transposed

  fileprivate var blas: CBLAS_TRANSPOSE { self == .asStored ? CblasNoTrans : CblasTrans }
}

/// The transpose of a block, which only a product sees: nothing is moved.
package struct TransposedView<Element: BitwiseCopyable>: Factor {
  package let stored: MatrixView<Element>
  package var orientation: Orientation { .transposed }
}

extension MatrixView: Factor {
  package var stored: MatrixView { self }
  package var orientation: Orientation { .asStored }
  package var transposed: TransposedView<Element> { TransposedView(stored: self) }
}

/// C ← α·op(A)·op(B) + β·C in single precision.
package func multiply(
  _ a: some Factor<Float>, _ b: some Factor<Float>,
  into c: MatrixView<Float>, alpha: Float = 1, beta: Float = 0
) {
  let inner = innerDimension(a, b, c)
  guard c.rowCount > 0, c.columnCount > 0 else { return }
  cblas_sgemm(
    CblasRowMajor, a.orientation.blas, b.orientation.blas, blasInteger(c.rowCount),
    blasInteger(c.columnCount),
    blasInteger(inner), alpha, a.stored.base, leadingDimension(a.stored), b.stored.base,
    leadingDimension(b.stored), beta, c.base,
    leadingDimension(c))
}

/// C ← α·op(A)·op(B) + β·C in double precision.
package func multiply(
  _ a: some Factor<Double>, _ b: some Factor<Double>,
  into c: MatrixView<Double>, alpha: Double = 1, beta: Double = 0
) {
  let inner = innerDimension(a, b, c)
  guard c.rowCount > 0, c.columnCount > 0 else { return }
  cblas_dgemm(
    CblasRowMajor, a.orientation.blas, b.orientation.blas, blasInteger(c.rowCount),
    blasInteger(c.columnCount),
    blasInteger(inner), alpha, a.stored.base, leadingDimension(a.stored), b.stored.base,
    leadingDimension(b.stored), beta, c.base,
    leadingDimension(c))
}

/// C ← C + A·Aᵀ; only the lower triangle of C is written.
package func addGram(_ a: some Factor<Double>, into c: MatrixView<Double>) {
  let (order, inner) = shape(of: a)
  precondition(c.rowCount == order && c.columnCount == order, "the Gram matrix has another order")
  guard order > 0 else { return }
  cblas_dsyrk(
    CblasRowMajor, CblasLower, a.orientation.blas, blasInteger(order), blasInteger(inner), 1,
    a.stored.base, leadingDimension(a.stored), 1, c.base, leadingDimension(c))
}

/// B ← L⁻¹·B for a lower triangular L with a nonzero diagonal.
package func solveLowerTriangular(_ l: MatrixView<Float>, _ b: MatrixView<Float>) {
  precondition(l.rowCount == b.rowCount && l.columnCount == b.rowCount, "triangle and block differ")
  guard b.rowCount > 0, b.columnCount > 0 else { return }
  cblas_strsm(
    CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, blasInteger(b.rowCount),
    blasInteger(b.columnCount), 1, l.base, leadingDimension(l), b.base, leadingDimension(b))
}

/// Narrows a dimension to what this BLAS takes.
///
/// Every dimension comes from a plan that refused larger ones.
func blasInteger(_ value: Int) -> Int32 {
  guard let narrow = Int32(exactly: value) else { fatalError("dimension \(value) exceeds 2³¹−1") }
  return narrow
}

private func leadingDimension<Element>(_ view: MatrixView<Element>) -> Int32 {
  blasInteger(max(1, view.stride))
}

private func innerDimension<Element>(
  _ a: some Factor<Element>, _ b: some Factor<Element>, _ c: MatrixView<Element>
) -> Int {
  let (rows, inner) = shape(of: a)
  let (otherInner, columns) = shape(of: b)
  precondition(
    rows == c.rowCount && columns == c.columnCount && inner == otherInner, "factors of a product do not fit")
  return inner
}

private func shape<Element>(of factor: some Factor<Element>) -> (rowCount: Int, columnCount: Int) {
  let block = factor.stored
  return factor.orientation == .asStored
    ? (block.rowCount, block.columnCount) : (block.columnCount, block.rowCount)
}
