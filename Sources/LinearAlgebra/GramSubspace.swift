/// The leading subspace from all eigenvalues of the double-precision Gram matrix of the shorter side.
///
/// Exact to single precision, and the whole spectrum comes with it; l·s² operations and about 9·s³ for the
/// eigenvectors, so for small or nearly full-rank matrices.
func gramSubspace(of matrix: borrowing Matrix<Float>, energy: Double, rank: Int) throws(LAPACKError)
  -> LeadingSubspace
{
  let eigen = try SymmetricEigen(
    lowerTriangle: ShortSideOperator(matrix.view).gram(), wantsVectors: true)
  let vectors = Matrix<Float>(uninitializedRows: rank, columns: eigen.vectors.columnCount)
  for row in 0..<rank {
    let (narrow, wide) = (vectors.view.row(row), eigen.vectors.view.row(row))
    for column in narrow.indices { narrow[column] = Float(wide[column]) }
  }
  let optimum = eigen.values.prefix(rank).reversed().reduce(0, +)
  return LeadingSubspace(
    vectors: vectors,
    certificate: .init(method: .gram, passes: 1, estimate: .optimum(optimum), isConverged: true))
}
