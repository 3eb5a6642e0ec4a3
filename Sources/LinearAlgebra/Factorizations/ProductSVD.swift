/// The SVD of a product of two thin factors, in double precision; the product itself is never formed.
///
/// Each factor is orthonormalised by Householder reflections, which leaves a core as small as the factors are thin: the
/// work is linear in the long sides, and small singular values keep their digits, which a Gram matrix would lose.
package struct ProductSVD: ~Copyable {
  /// The left singular vectors as rows, k × m; the largest entry of each is positive.
  package let left: Matrix<Double>
  /// All k singular values, descending; k is the smallest of the three dimensions.
  package let s: [Double]
  /// The right singular vectors as rows, k × n.
  package let right: Matrix<Double>

  /// Decomposes L·R for L m × r and R r × n, of finite entries.
  package init(_ left: borrowing Matrix<Double>, _ right: borrowing Matrix<Double>) throws(LAPACKError) {
    precondition(left.columnCount == right.rowCount, "the factors of a product do not fit")
    let ofLeft = try ThinRange(of: left.copy())
    let ofRight = try ThinRange(of: right.transposed())
    let svd = try DoubleSVD(of: rowProducts(ofLeft.r, ofRight.r))
    let vectors = rowProducts(svd.u.transposed(), ofLeft.q)
    let others = rowProducts(svd.vh, ofRight.q)
    for (row, sign) in vectors.signsOfLargest().enumerated() where sign < 0 {
      vectors.view.scaleRow(row, by: -1)
      others.view.scaleRow(row, by: -1)
    }
    self.left = vectors
    s = svd.s
    self.right = others
  }

  /// The same for factors in single precision, which are widened.
  package init(_ left: borrowing Matrix<Float>, _ right: borrowing Matrix<Float>) throws(LAPACKError) {
    self = try ProductSVD(left.widened(), right.widened())
  }
}

/// Q·R with orthonormal columns of Q; Q is the identity where there are as many columns as rows.
private struct ThinRange: ~Copyable {
  let q: Matrix<Double>
  let r: Matrix<Double>

  init(of matrix: consuming Matrix<Double>) throws(LAPACKError) {
    if matrix.rowCount <= matrix.columnCount {
      var identity = Matrix<Double>(repeating: 0, rows: matrix.rowCount, columns: matrix.rowCount)
      for index in 0..<matrix.rowCount { identity[index, index] = 1 }
      q = identity
      r = matrix
    } else {
      let factored = try HouseholderQR(of: matrix)
      q = factored.q.copy()
      r = factored.r.copy()
    }
  }
}
