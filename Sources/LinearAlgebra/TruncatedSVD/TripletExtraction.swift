internal import CKernels

/// Singular triplets with the vectors of both sides as rows, whole on every rank of a group.
struct Triplets: ~Copyable {
  /// Left singular vectors as rows, k × m.
  let leftRows: Matrix<Float>
  let values: [Double]
  /// Right singular vectors as rows, k × n.
  let rightRows: Matrix<Float>
  let certificate: Certificate

  struct Certificate {
    let method: TruncatedSVD.Method
    let passes: Int
    let estimatedLoss: Double
    let isConverged: Bool
  }
}

/// Below this fraction of ‖A‖_F a singular value is the rounding of single precision, not a part of A.
///
/// Products of A in single precision carry errors of a few 2⁻²⁴·‖A‖_F; 2⁻²⁰ leaves a margin of about ten. The
/// energy given up is at most 1e-12 of the whole for each triplet.
private let numericalRankThreshold = 0x1p-20

/// Turns a subspace V of the short side into singular triplets with one more read of A.
///
/// 1. Y = V·Bᵀ, the images of the subspace; the Gram matrix of Y in double precision gives σ² and a rotation.
/// 2. Rows below the numerical rank are dropped; the others are rotated and divided by σ.
/// 3. What remains non-orthogonal, rounding enlarged by σ₁/σᵢ, is removed by CholeskyQR2.
/// 4. The long vectors, of which each rank of a group has its share, are gathered.
///
/// Σσ² equals ‖A·V‖² to rounding, so the residual of the triplets follows without another look at A.
func extractTriplets(
  of matrix: ShortSideOperator, energy: Double, from subspace: consuming LeadingSubspace
) throws(LAPACKError) -> Triplets {
  let images = Matrix<Float>(
    uninitializedRows: subspace.vectors.rowCount, columns: matrix.localLength)
  matrix.apply(subspace.vectors.view, into: images.view)

  let eigen = try SymmetricEigen(lowerTriangle: matrix.longGram(images.view), wantsVectors: true)
  let values = eigen.values.map { max(0, $0).squareRoot() }
    .prefix { $0 > numericalRankThreshold * energy.squareRoot() }
  let rotation = eigen.vectors.narrowed(rows: values.count)
  let shortRows = product(rotation, subspace.vectors)
  let localRows = Matrix<Float>(uninitializedRows: values.count, columns: images.columnCount)
  // Unit by unit: with some kernels of a BLAS the bits of a column depend on how many others there are.
  matrix.share.forEachUnit { offsets in
    multiply(rotation.view, images.view.columns(offsets), into: localRows.view.columns(offsets))
  }
  for (row, value) in values.enumerated() { localRows.view.scaleRow(row, by: Float(1 / value)) }
  var rank = values.count
  for _ in 0..<2 {
    let factor = GramCholesky(matrix.longGram(localRows.view))
    rank = min(rank, factor.dependentRows.first ?? rank)
    matrix.share.forEachUnit { offsets in orthonormalizeRows(localRows.view.columns(offsets), by: factor) }
  }
  let longRows = matrix.share.gathered(localRows.view.rows(0..<rank))

  let left = matrix.isWide ? shortRows.firstRows(rank) : longRows.firstRows(rank)
  let right = matrix.isWide ? longRows.firstRows(rank) : shortRows.firstRows(rank)
  fixSigns(left, right)
  let captured = values.prefix(rank).reversed().reduce(0) { $0 + $1 * $1 }
  let certificate = subspace.certificate
  return Triplets(
    leftRows: left, values: Array(values.prefix(rank)), rightRows: right,
    certificate: .init(
      method: certificate.method, passes: certificate.passes + 1,
      estimatedLoss: certificate.estimate.loss(captured: captured), isConverged: certificate.isConverged))
}

private func product(_ left: borrowing Matrix<Float>, _ right: borrowing Matrix<Float>) -> Matrix<Float> {
  let result = Matrix<Float>(uninitializedRows: left.rowCount, columns: right.columnCount)
  multiply(left.view, right.view, into: result.view)
  return result
}

/// Makes the largest entry of every left vector positive, so that equal inputs give equal files.
private func fixSigns(_ left: borrowing Matrix<Float>, _ right: borrowing Matrix<Float>) {
  for row in 0..<left.rowCount {
    let entries = left.view.row(row)
    guard let start = entries.baseAddress else { continue }
    let largest = ckernels_largest_magnitude(start, entries.count)
    if largest >= 0 && entries[largest] < 0 {
      left.view.scaleRow(row, by: -1)
      right.view.scaleRow(row, by: -1)
    }
  }
}
