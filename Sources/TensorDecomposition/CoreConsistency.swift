internal import LinearAlgebra

/// CORCONDIA (Bro and Kiers 2003).
///
/// 100·(1 − Σ(g − t)²/R) with t superdiagonal ones and g the core that fits the
/// given vectors best, X ×ₙ pinv(Uₙ), where mode 0 carries the weights. Nil if the core would be too large or a
/// component has vanished.
func coreConsistency(of model: KruskalTensor, in tensor: DenseTensor) throws -> Double? {
  let count = model.factors.reduce(1.0) { product, _ in product * Double(model.rank) }
  guard count <= 0x1p24, model.weights.allSatisfy({ $0 > 1e-12 * model.weights[0] })
  else { return nil }
  var inverses: [SharedMatrix<Double>?] = []
  for (mode, factor) in model.factors.enumerated() {
    let inverse = try pseudoInverseRows(of: factor.matrix)
    inverses.append(
      SharedMatrix(mode == 0 ? inverse.scalingRows(by: model.weights.map { 1 / $0 }) : inverse))
  }
  let core = tensor.modeProducts(tensor.shape.indices, inverses)
  // Σ(g − t)² = Σg² + Σ over the superdiagonal of (1 − 2g).
  let stride = (core.count - 1) / max(1, model.rank - 1)
  let diagonal = core.elements
  let distance = core.squaredNorm + (0..<model.rank).reduce(0.0) { $0 + 1 - 2 * diagonal[$1 * stride] }
  return 100 * (1 - distance / Double(model.rank))
}

/// Rows that are dual to the rows of U: (U·Uᵀ)⁺·U.
private func pseudoInverseRows(of factor: borrowing Matrix<Double>) throws -> Matrix<Double> {
  let eigen = try SymmetricEigen(lowerTriangle: rowProducts(factor, factor), wantsVectors: true)
  let floor = 1e-13 * (eigen.values.first ?? 0)
  let inverse = eigen.values.map { $0 > floor ? 1 / $0 : 0 }
  let projected = product(eigen.vectors, factor)
  return product(eigen.vectors.transposed(), projected.scalingRows(by: inverse))
}
