/// X·Bᵀ·B for the l × s matrix B that A is from its shorter side: one step of the Krylov iteration, to be measured.
///
/// - Parameter vectors: b × s; the result has the same shape.
package func krylovStep(
  of matrix: borrowing Matrix<Float>, on vectors: borrowing Matrix<Float>, threadCount: Int = 1
) -> Matrix<Float> {
  let share = LongSideShare(rows: matrix.rowCount, columns: matrix.columnCount, threadCount: threadCount)
  return ShortSideOperator(matrix.view, share: share).applyGram(vectors.view)
}
