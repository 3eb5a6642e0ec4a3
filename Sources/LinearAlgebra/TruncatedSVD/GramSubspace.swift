/// The leading subspace from all eigenvalues of the double-precision Gram matrix of the shorter side.
///
/// Exact to single precision, and the whole spectrum comes with it; l·s² operations and about 9·s³ for the
/// eigenvectors, so for small or nearly full-rank matrices.
func gramSubspace(of matrix: ShortSideOperator, energy: Double, rank: Int) throws(LAPACKError)
  -> LeadingSubspace
{
  let eigen = try SymmetricEigen(lowerTriangle: matrix.gram(), wantsVectors: true)
  let optimum = eigen.values.prefix(rank).reversed().reduce(0, +)
  return LeadingSubspace(
    vectors: eigen.vectors.narrowed(rows: rank),
    certificate: .init(method: .gram, passes: 1, estimate: .optimum(optimum), isConverged: true))
}
