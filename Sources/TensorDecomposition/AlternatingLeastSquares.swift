internal import LinearAlgebra

/// CP by alternating least squares: each mode's vectors in turn solve the least-squares problem of the others.
///
/// The driver knows the tensor through a source only, so the same sweeps run on a small core and on data that is
/// streamed over ranks.
public struct AlternatingLeastSquares<Source: MTTKRPSource> {
  /// The source of products.
  public private(set) var source: Source
  /// Unit vectors and weights.
  private var factors: [SharedMatrix<Double>]
  private var weights: [Double]
  private var grams: [SharedMatrix<Double>]

  /// Starts from the directions of a Kruskal tensor.
  public init(_ source: Source, from start: KruskalTensor) {
    precondition(start.shape == source.shape, "start and data differ in shape")
    let unit = start.normalized()
    self.source = source
    factors = unit.factors
    weights = unit.weights
    grams = factors.map { SharedMatrix(rowProducts($0.matrix, $0.matrix)) }
  }

  /// The decomposition so far, in normal form.
  public var model: KruskalTensor { KruskalTensor(weights: weights, factors: factors).normalized() }

  /// Improves every mode once.
  ///
  /// - Parameter ridge: Tikhonov's μ relative to the mean of the diagonal of the normal equations: it holds
  ///   components together that would run away from each other, and biases weights, so it must end at zero.
  /// - Returns: ‖X − X̂‖² from the products of the last mode, with rounding of 1e-16·‖X‖².
  /// - Throws: What the source throws, or that its products are not finite.
  public mutating func sweep(ridge: Double = 0) throws -> Double {
    var residual = 0.0
    for (group, modes) in source.modeGroups.enumerated() {
      try source.prepare(group: group, factors: factors)
      for mode in modes { residual = try update(mode, ridge: ridge) }
    }
    return residual
  }

  /// Sweeps until the relative error ‖X − X̂‖ / ‖X‖ changes by less than a tolerance.
  ///
  /// - Returns: The relative error after each sweep.
  public mutating func run(sweeps limit: Int, tolerance: Double) throws -> [Double] {
    var errors: [Double] = []
    guard source.squaredNorm > 0 else { return [0] }
    for _ in 0..<limit {
      let error = (try sweep() / source.squaredNorm).squareRoot()
      let change = errors.last.map { abs($0 - error) }
      errors.append(error)
      if let change, change < tolerance { break }
    }
    return errors
  }

  private mutating func update(_ mode: Int, ridge: Double) throws -> Double {
    let products = try source.mttkrp(mode: mode, factors: factors)
    let rank = weights.count
    let normal = hadamard(grams.indices.filter { $0 != mode }.map { grams[$0] }, count: rank)
    let vectors = products.copy()
    solve(normal, ridge: ridge, vectors.view)
    let norms = vectors.rowNorms()
    guard norms.allSatisfy(\.isFinite) else { throw TensorError.productNotFinite(mode: mode) }
    let residual =
      source.squaredNorm - 2 * innerProduct(products.view, vectors.view)
      + quadraticForm(normal, rowProducts(vectors, vectors))
    // A component that vanished keeps its direction, so that it may come back.
    for component in 0..<rank {
      let row = vectors.view.rows(component..<component + 1)
      if norms[component] > 0 {
        row.scaleRow(0, by: 1 / norms[component])
      } else {
        copyRow(component, of: factors[mode].matrix, into: row)
      }
    }
    weights = norms
    grams[mode] = SharedMatrix(rowProducts(vectors, vectors))
    factors[mode] = SharedMatrix(vectors)
    return max(0, residual)
  }
}

private func copyRow(_ row: Int, of matrix: borrowing Matrix<Double>, into target: MatrixView<Double>) {
  target.copy(from: matrix.view.rows(row..<row + 1))
}

/// Σ aᵢⱼ·bᵢⱼ.
func quadraticForm(_ a: borrowing Matrix<Double>, _ b: borrowing Matrix<Double>) -> Double {
  innerProduct(a.view, b.view)
}

/// B ← (A + shift)⁻¹·B with the smallest shift from `ridge` on, relative to the mean diagonal, that allows it.
///
/// Collinear components make A singular to rounding; the least shift that Cholesky takes is then far below what
/// the data can tell.
func solve(_ a: borrowing Matrix<Double>, ridge: Double, _ b: MatrixView<Double>) {
  cholesky(a, ridge: ridge).solve(b)
}

/// The Cholesky factor of A + shift, as `solve` takes it.
func cholesky(_ a: borrowing Matrix<Double>, ridge: Double) -> Cholesky {
  let order = a.rowCount
  let mean = (0..<order).reduce(0.0) { $0 + a[$1, $1] } / Double(max(1, order))
  var shift = ridge * mean
  for _ in 0..<64 {
    if let factor = Cholesky(lowerTriangle: a, shift: shift) { return factor }
    shift = max(100 * shift, 1e-15 * mean, .leastNormalMagnitude)
  }
  preconditionFailure("a Gram matrix of finite vectors is positive definite after a shift")
}
