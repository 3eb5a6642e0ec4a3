internal import COpenBLAS

/// The thin SVD of a whole matrix by LAPACK's divide and conquer (sgesdd), all min(m, n) triplets.
package struct DenseSVD: ~Copyable {
  /// m × min(m, n).
  package let u: Matrix<Float>
  package let s: [Float]
  /// min(m, n) × n.
  package let vh: Matrix<Float>

  /// Decomposes a matrix of finite entries; 8·l·s² operations and more, mostly at memory speed.
  package init(of matrix: borrowing Matrix<Float>) throws(LAPACKError) {
    let svd = try ThinSVD(of: matrix, by: LAPACKE_sgesdd, name: "sgesdd")
    u = svd.u
    s = svd.s
    vh = svd.vh
  }
}

/// The leading subspace from a full dense SVD.
func denseSubspace(of matrix: borrowing Matrix<Float>, energy: Double, rank: Int) throws(LAPACKError)
  -> LeadingSubspace
{
  let svd = try DenseSVD(of: matrix)
  let isWide = matrix.columnCount > matrix.rowCount
  let vectors = isWide ? svd.u.transposed().firstRows(rank) : svd.vh.firstRows(rank)
  let optimum = svd.s.prefix(rank).reversed().reduce(0.0) { $0 + Double($1) * Double($1) }
  return LeadingSubspace(
    vectors: vectors,
    certificate: .init(method: .dense, passes: 1, estimate: .optimum(optimum), isConverged: true))
}
