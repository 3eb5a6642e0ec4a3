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
    let (rows, columns) = matrix.shape
    let rank = min(rows, columns)
    var work = Matrix<Float>(uninitializedRows: rows, columns: columns)
    work.view.copy(from: matrix.view)
    var left = Matrix<Float>(uninitializedRows: rows, columns: rank)
    var right = Matrix<Float>(uninitializedRows: rank, columns: columns)
    var values = [Float](repeating: 0, count: rank)
    // LAPACK reads the row-major A as Aᵀ, whose left vectors in columns are the rows of Vᵀ, and the other
    // way round: both factors arrive as they are wanted.
    let info = work.withMutableElements { a in
      right.withMutableElements { leftOfTransposed in
        left.withMutableElements { rightOfTransposed in
          LAPACKE_sgesdd(
            LAPACK_COL_MAJOR, 83, blasInteger(columns), blasInteger(rows), a.baseAddress,
            blasInteger(columns),
            &values, leftOfTransposed.baseAddress, blasInteger(columns), rightOfTransposed.baseAddress,
            blasInteger(max(1, rank)))
        }
      }
    }
    try checkLAPACK(info, "sgesdd", rows: rows, columns: columns)
    u = left
    s = values
    vh = right
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
