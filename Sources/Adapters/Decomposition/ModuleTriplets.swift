internal import Checkpoints
package import LinearAlgebra
internal import WeightSources

/// The singular triplets of one module as a decomposition's folder holds them.
///
/// The vectors are in single precision, as they were computed. The values are in double precision: they were found in
/// it, and the factors of an adapter made of them are then those of an extraction to the bit.
public struct ModuleTriplets: Sendable {
  /// U, out × k, F32.
  public let u: [UInt8]
  /// σ, descending.
  public let values: [Double]
  /// Vh, k × in, F32.
  public let vh: [UInt8]
  /// ‖Δ − U·diag(σ)·Vh‖_F² of these numbers, summed explicitly in double precision.
  public let residualEnergy: Double
  /// Σ 4^⌊log₂|w|⌋ over the fine-tuned model's values: 4⁻ᵖ/12 of it is the energy of rounding to p bits.
  public let binadeEnergy: Double

  /// The number of triplets.
  public var rank: Int { values.count }

  /// Triplets that were stored or sent.
  public init(u: [UInt8], values: [Double], vh: [UInt8], residualEnergy: Double, binadeEnergy: Double) {
    self.u = u
    self.values = values
    self.vh = vh
    self.residualEnergy = residualEnergy
    self.binadeEnergy = binadeEnergy
  }

  /// The triplets of an SVD.
  ///
  /// - Parameters:
  ///   - svd: Of the matrix as it is stored in the checkpoint.
  ///   - layout: Which side of it is the module's input.
  ///   - binadeEnergy: Of the matrix, as above.
  ///   - residual: ‖Δ − L·R‖_F² of two factors.
  /// - Throws: What `residual` throws.
  package init(
    _ svd: borrowing TruncatedSVD, layout: WeightLayout, binadeEnergy: Double,
    residual: (borrowing Matrix<Float>, borrowing Matrix<Float>) throws -> Double
  ) throws {
    var weighted = Matrix<Float>(uninitializedRows: svd.u.rowCount, columns: svd.rank)
    svd.u.scaleColumns(by: svd.s.map { Float($0) }, into: &weighted)
    residualEnergy = try residual(weighted, svd.vh)
    self.binadeEnergy = binadeEnergy
    values = svd.s
    switch layout {
    case .outputByInput:
      u = ElementType.f32.encode(svd.u)
      vh = ElementType.f32.encode(svd.vh)
    case .inputByOutput:
      u = ElementType.f32.encode(svd.vh.transposed())
      vh = ElementType.f32.encode(svd.u.transposed())
    }
  }
}
