internal import COpenBLAS

/// The thin SVD of a whole matrix in double precision by LAPACK's divide and conquer (dgesdd).
///
/// For small singular values and their vectors, which neither single precision nor a Gram matrix resolves.
package struct DoubleSVD: ~Copyable {
  /// m × min(m, n).
  package let u: Matrix<Double>
  /// Descending.
  package let s: [Double]
  /// min(m, n) × n.
  package let vh: Matrix<Double>

  /// Decomposes a matrix of finite entries.
  ///
  /// The largest entry of each column of U is positive, the first of equals.
  package init(of matrix: borrowing Matrix<Double>) throws(LAPACKError) {
    let svd = try ThinSVD(of: matrix, by: LAPACKE_dgesdd, name: "dgesdd")
    var left = svd.u
    let right = svd.vh
    for (index, sign) in left.transposed().signsOfLargest().enumerated() where sign < 0 {
      for row in 0..<left.rowCount { left[row, index].negate() }
      right.view.scaleRow(index, by: -1)
    }
    u = left
    s = svd.s
    vh = right
  }
}
