internal import LinearAlgebra

/// What an update Δ = U·diag(σ)·Vᵀ writes to and reads from: orthonormal directions of its outputs and of its inputs.
package struct UpdateSubspaces: Sendable {
  /// Uᵀ, k × out.
  let outputs: SharedMatrix<Float>
  /// Vᵀ, k × in.
  let inputs: SharedMatrix<Float>
  /// σ, descending.
  package let values: [Double]

  /// A direction with less than this part of the largest singular value is rounding noise of its factors.
  private static let noiseFloor = 1e-5

  /// Decomposes an update; its matrix is never formed.
  ///
  /// - Throws: `LAPACKError` if the small SVD fails.
  package init(_ update: LowRankUpdate) throws {
    let svd = try ProductSVD(update.b.matrix, update.a.matrix)
    let floor = (svd.s.first ?? 0) * Self.noiseFloor
    let count = svd.s.prefix { $0 > floor }.count
    values = Array(svd.s.prefix(count))
    inputs = SharedMatrix(svd.right.narrowed(rows: count))
    outputs = SharedMatrix(svd.left.narrowed(rows: count))
  }

  /// The number of directions on each side.
  package var rank: Int { values.count }
  /// ‖Δ‖_F².
  package var energy: Double { values.reversed().reduce(0) { $0 + $1 * $1 } }
}
