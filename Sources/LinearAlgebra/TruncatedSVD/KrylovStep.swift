/// X·Bᵀ·B for the l × s matrix B that A is from its shorter side: one step of the Krylov iteration, to be measured.
///
/// - Parameters:
///   - matrix: A, m × n.
///   - vectors: X, b × s.
///   - threadCount: Threads for products over the longer side.
/// - Returns: The images, b × s.
package func krylovStep(
  of matrix: borrowing Matrix<Float>, on vectors: borrowing Matrix<Float>, threadCount: Int = 1
) -> Matrix<Float> {
  let share = LongSideShare(rows: matrix.rowCount, columns: matrix.columnCount, threadCount: threadCount)
  return ShortSideOperator(matrix.view, share: share).applyGram(vectors.view)
}
