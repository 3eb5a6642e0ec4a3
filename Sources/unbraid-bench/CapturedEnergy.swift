import LinearAlgebra

/// ‖A‖² − ‖A − UΣVᵀ‖², the energy that a decomposition's factors capture, whatever it reports of itself.
///
/// From 2·⟨A, UΣVᵀ⟩ − ‖UΣVᵀ‖², which loses no digits where little of A is captured, and counts against factors
/// that are not orthonormal. Sums are in double precision.
func capturedEnergy(of svd: borrowing TruncatedSVD, in matrix: borrowing Matrix<Float>) -> Double {
  let images = Matrix<Float>(uninitializedRows: matrix.rowCount, columns: svd.rank)
  multiply(matrix.view, svd.vh.view.transposed, into: images.view)
  var inner = 0.0
  for row in 0..<matrix.rowCount {
    let (left, image) = (svd.u.view.row(row), images.view.row(row))
    for (index, value) in svd.s.enumerated() { inner += value * Double(left[index]) * Double(image[index]) }
  }
  let left = gramMatrix(svd.u.view.transposed)
  let right = gramMatrix(svd.vh.view)
  var square = 0.0
  for row in 0..<svd.rank {
    for column in 0...row {
      let term = svd.s[row] * svd.s[column] * left[row, column] * right[row, column]
      square += row == column ? term : 2 * term
    }
  }
  return 2 * inner - square
}
