internal import LinearAlgebra

/// The Khatri-Rao product of some modes' factors: row r is the outer product of their rows r, last mode fastest.
func khatriRao(_ factors: [SharedMatrix<Double>], count: Int) -> Matrix<Double> {
  var result = Matrix<Double>(repeating: 1, rows: count, columns: 1)
  for factor in factors { result = khatriRao(result, factor.matrix) }
  return result
}

private func khatriRao(_ left: borrowing Matrix<Double>, _ right: borrowing Matrix<Double>) -> Matrix<Double>
{
  let (outer, inner) = (left.columnCount, right.columnCount)
  let result = Matrix<Double>(uninitializedRows: left.rowCount, columns: outer * inner)
  for row in 0..<left.rowCount {
    let (a, b, target) = (left.view.row(row), right.view.row(row), result.view.row(row))
    for first in 0..<outer {
      let scale = a[first]
      let start = first * inner
      for second in 0..<inner { target[start + second] = scale * b[second] }
    }
  }
  return result
}

/// The entrywise product of matrices of one shape; ones for none.
func hadamard(_ matrices: [SharedMatrix<Double>], rows: Int, columns: Int) -> Matrix<Double> {
  let result = Matrix<Double>(repeating: 1, rows: rows, columns: columns)
  for shared in matrices { scale(result, entrywiseBy: shared.matrix) }
  return result
}

private func scale(_ target: borrowing Matrix<Double>, entrywiseBy matrix: borrowing Matrix<Double>) {
  for row in 0..<target.rowCount {
    let (entries, factors) = (target.view.row(row), matrix.view.row(row))
    for column in entries.indices { entries[column] *= factors[column] }
  }
}

/// The same for square matrices.
func hadamard(_ matrices: [SharedMatrix<Double>], count: Int) -> Matrix<Double> {
  hadamard(matrices, rows: count, columns: count)
}

/// Where to cut the modes in two so that both halves of a product have the fewest entries together.
func balancedSplit(_ shape: [Int]) -> Int {
  func size(_ split: Int) -> Int { shape[..<split].reduce(1, *) + shape[split...].reduce(1, *) }
  return (1..<shape.count).min { size($0) < size($1) } ?? 1
}

/// For each component, a tensor contracted with that component's vectors in all modes but one.
///
/// - Parameters:
///   - partial: One tensor a row, of the shape of `factors`.
///   - kept: Position of the mode that is kept.
///   - factors: Of the modes of these tensors.
/// - Returns: Components × length of the kept mode.
func contractComponents(
  _ partial: borrowing Matrix<Double>, keeping kept: Int, _ factors: [SharedMatrix<Double>]
) -> Matrix<Double> {
  guard factors.count > 1 else { return partial.copy() }
  // The last mode goes first, until the kept one is last; then the first ones go.
  if kept < factors.count - 1 {
    let smaller = contract(partial, .last, factors[factors.count - 1].matrix)
    return contractComponents(smaller, keeping: kept, Array(factors.dropLast()))
  }
  let smaller = contract(partial, .first, factors[0].matrix)
  return contractComponents(smaller, keeping: kept - 1, Array(factors.dropFirst()))
}

/// A mode at one end of a tensor's shape.
private enum OuterMode { case first, last }

/// For each component, a tensor contracted with that component's vector in its first or its last mode.
private func contract(
  _ partial: borrowing Matrix<Double>, _ mode: OuterMode, _ factor: borrowing Matrix<Double>
) -> Matrix<Double> {
  let length = factor.columnCount
  let rest = partial.columnCount / length
  let result = Matrix<Double>(uninitializedRows: partial.rowCount, columns: rest)
  for row in 0..<partial.rowCount {
    let tensor = partial.view.rows(row..<row + 1)
    let (vector, target) = (factor.view.rows(row..<row + 1), result.view.rows(row..<row + 1))
    switch mode {
    case .first:
      multiply(tensor.reshaped(rows: length, columns: rest).transposed, vector: vector, into: target)
    case .last: multiply(tensor.reshaped(rows: rest, columns: length), vector: vector, into: target)
    }
  }
  return result
}
