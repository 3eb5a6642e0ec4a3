internal import LinearAlgebra

/// JᵀJ + μI of a CP model at a point, as an operator on R × (sum of the lengths) matrices.
///
/// With Gₘ the Gram matrices of the factors, block (n, n) is P ↦ (∗_{m≠n} Gₘ)·P and block (n, m) is
/// P ↦ ((∗_{q≠n,m} G_q) ∗ (Uₘ·Pᵀ))·Uₙ.
struct NormalEquations {
  private let factors: [SharedMatrix<Double>]
  private let ranges: [Range<Int>]
  /// ∗ over all modes but n.
  private let normals: [SharedMatrix<Double>]
  /// ∗ over all modes but n and m.
  private let pairs: [[SharedMatrix<Double>]]
  private let blocks: [Cholesky]
  private let damping: Double

  init(factors: [SharedMatrix<Double>], grams: [SharedMatrix<Double>], damping: Double) {
    self.factors = factors
    self.damping = damping
    let rank = factors[0].rowCount
    var start = 0
    ranges = factors.map { factor in
      defer { start += factor.columnCount }
      return start..<start + factor.columnCount
    }
    func without(_ modes: Set<Int>) -> SharedMatrix<Double> {
      SharedMatrix(hadamard(grams.indices.filter { !modes.contains($0) }.map { grams[$0] }, count: rank))
    }
    normals = grams.indices.map { without([$0]) }
    pairs = grams.indices.map { own in grams.indices.map { without([own, $0]) } }
    blocks = normals.map { normal in
      let shifted = normal.matrix.copy()
      for row in 0..<rank { shifted.view.row(row)[row] += damping }
      return cholesky(shifted, ridge: 0)
    }
  }

  /// −∇f, where block n of the gradient is (∗_{m≠n} Gₘ)·Uₙ − Mₙ.
  func negativeGradient(_ products: [SharedMatrix<Double>?]) -> Matrix<Double> {
    let result = Matrix<Double>(
      repeating: 0, rows: factors[0].rowCount, columns: ranges.last?.upperBound ?? 0)
    for (mode, range) in ranges.enumerated() {
      let target = result.view.columns(range)
      products[mode].map { copyAll($0.matrix, into: target) }
      multiplyAll(normals[mode].matrix, factors[mode].matrix, into: target, alpha: -1, beta: 1)
    }
    return result
  }

  /// The operator's product with a step.
  func applied(to step: borrowing Matrix<Double>) -> Matrix<Double> {
    let rank = step.rowCount
    let result = Matrix<Double>(uninitializedRows: rank, columns: step.columnCount)
    let crossed = ranges.indices.map { mode in
      SharedMatrix(productsWithRows(factors[mode].matrix, step.view.columns(ranges[mode])))
    }
    for (mode, range) in ranges.enumerated() {
      let target = result.view.columns(range)
      target.copy(from: step.view.columns(range))
      multiplyLeft(normals[mode].matrix, step.view.columns(range), into: target, beta: damping)
      let mixed = Matrix<Double>(repeating: 0, rows: rank, columns: rank)
      for other in ranges.indices where other != mode {
        addProduct(pairs[mode][other].matrix, entrywiseTimes: crossed[other].matrix, into: mixed)
      }
      multiplyAll(mixed, factors[mode].matrix, into: target, alpha: 1, beta: 1)
    }
    return result
  }

  /// Each mode's block alone solved: what a step of ALS does.
  func preconditioned(_ rest: borrowing Matrix<Double>) -> Matrix<Double> {
    let result = rest.copy()
    for (mode, range) in ranges.enumerated() { blocks[mode].solve(result.view.columns(range)) }
    return result
  }
}

private func copyAll(_ matrix: borrowing Matrix<Double>, into target: MatrixView<Double>) {
  target.copy(from: matrix.view)
}

private func multiplyAll(
  _ a: borrowing Matrix<Double>, _ b: borrowing Matrix<Double>, into c: MatrixView<Double>, alpha: Double,
  beta: Double
) {
  multiply(a.view, b.view, into: c, alpha: alpha, beta: beta)
}

private func multiplyLeft(
  _ a: borrowing Matrix<Double>, _ b: MatrixView<Double>, into c: MatrixView<Double>, beta: Double
) {
  multiply(a.view, b, into: c, beta: beta)
}

/// U·Pᵀ.
private func productsWithRows(_ a: borrowing Matrix<Double>, _ b: MatrixView<Double>) -> Matrix<Double> {
  let result = Matrix<Double>(uninitializedRows: a.rowCount, columns: b.rowCount)
  multiply(a.view, b.transposed, into: result.view)
  return result
}

private func addProduct(
  _ a: borrowing Matrix<Double>, entrywiseTimes b: borrowing Matrix<Double>,
  into result: borrowing Matrix<Double>
) {
  for row in 0..<a.rowCount {
    let (first, second, target) = (a.view.row(row), b.view.row(row), result.view.row(row))
    for column in target.indices { target[column] += first[column] * second[column] }
  }
}
