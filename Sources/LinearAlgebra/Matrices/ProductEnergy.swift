/// ‖Σᵢ cᵢ·lᵢᵀ·rᵢ‖_F² for vectors that are the rows of two matrices, without forming the sum.
///
/// From the Gram matrices of both sides in double precision: Σᵢⱼ cᵢcⱼ(lᵢ·lⱼ)(rᵢ·rⱼ). Terms that cancel leave an error of
/// 1e-16 of the sum of their squares. Cost: 2k²(m + n) operations for k vectors of m and n entries.
///
/// - Parameters:
///   - coefficients: One a row.
///   - left: k × m.
///   - right: k × n.
/// - Returns: The energy, at least 0.
package func energyOfProducts(
  _ coefficients: [Double], _ left: borrowing Matrix<Float>, _ right: borrowing Matrix<Float>
) -> Double {
  precondition(
    left.rowCount == coefficients.count && right.rowCount == coefficients.count, "one coefficient a row")
  let leftGram = gramMatrix(left.view)
  let rightGram = gramMatrix(right.view)
  var sum = 0.0
  for row in coefficients.indices {
    var crossed = 0.0
    for column in 0..<row {
      crossed += coefficients[column] * leftGram[row, column] * rightGram[row, column]
    }
    let own = coefficients[row] * leftGram[row, row] * rightGram[row, row]
    sum += coefficients[row] * (2 * crossed + own)
  }
  // A NaN is no energy of zero.
  return sum < 0 ? 0 : sum
}

/// The rows of one matrix above those of another.
package func stacked(_ upper: borrowing Matrix<Float>, _ lower: borrowing Matrix<Float>) -> Matrix<Float> {
  let result = Matrix<Float>(uninitializedRows: upper.rowCount + lower.rowCount, columns: upper.columnCount)
  result.view.rows(0..<upper.rowCount).copy(from: upper.view)
  result.view.rows(upper.rowCount..<result.rowCount).copy(from: lower.view)
  return result
}
