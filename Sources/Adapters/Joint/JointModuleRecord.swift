internal import Foundation
internal import LinearAlgebra

/// What is known about one module of an adapter that was made from a joint decomposition, without the models.
public struct JointModuleRecord: Sendable, Codable, Equatable {
  /// The module's path in the checkpoint.
  public let module: String
  /// Its group.
  public let group: String
  /// Rows of A; 0 for a module that is not written.
  public let rank: Int
  /// ‖Δ‖_F, from the record of the decomposition.
  public let norm: Double
  /// ‖Δ − Δ̂‖_F of the whole decomposition, from its record.
  public let decompositionResidual: Double
  /// ‖B·A‖_F of the factors as written.
  public let writtenNorm: Double
  /// ‖Δ̂ − B·A‖_F: what edit, truncation and rounding changed of the decomposition, from the factors.
  public let departure: Double
  /// ‖Δ − B·A‖_F is at least this.
  public let leastResidual: Double
  /// ‖Δ − B·A‖_F is at most this.
  public let largestResidual: Double
}

/// A module's factors as they are written, and what is known about them.
package struct JointModuleUpdate: Sendable {
  /// Not yet rounded; nil if nothing is left.
  package let factors: LowRankUpdate?
  /// What is known.
  package let record: JointModuleRecord

  /// Makes the factors of one slice.
  ///
  /// What a basis leaves out of Δ is orthogonal to all that the basis holds, so the residual follows by Pythagoras:
  /// ‖Δ − B·A‖² = ‖Δ − Δ̂‖² + ‖Δ̂ − B·A‖² for what an edit or a smaller rank took, each layer by itself. For CP, and
  /// for Tucker with a basis of the layers, that holds over a whole group at best, and the triangle's inequality
  /// gives bounds.
  ///
  /// - Parameters:
  ///   - tensors: The group's.
  ///   - slice: Which slice.
  ///   - edit: The factors of the group's components.
  ///   - rank: The largest rank wanted; nil for the exact product.
  ///   - type: What the factors are rounded to.
  /// - Throws: `LAPACKError` if a small SVD fails.
  package init(
    _ tensors: GroupTensors, slice: Int, _ edit: ResolvedEdit.Group, rank: Int?, _ type: FactorType
  ) throws {
    let exact = tensors.update(ofSlice: slice, edit)
    let cut = try exact.map { exact in
      if let rank, exact.rank > rank { return try exact.truncated(to: rank) }
      return exact
    }
    factors = cut
    let written = type == .f32 ? cut : cut?.rounded(to: type)
    let group = tensors.record
    let module = group.modules[slice % group.modules.count]
    let whole = tensors.update(ofSlice: slice)
    let residual = group.residuals[slice].squareRoot()
    let taken = distance(whole, cut)
    let rounding = type == .f32 ? 0 : distance(cut, written)
    let isOrthogonal = tensors.method != .cp && group.layerRank == nil
    let (least, most) =
      isOrthogonal
      ? (hypot(residual, taken), hypot(residual, taken)) : (abs(residual - taken), residual + taken)
    record = JointModuleRecord(
      module: module, group: group.name, rank: written?.rank ?? 0, norm: group.energies[slice].squareRoot(),
      decompositionResidual: residual, writtenNorm: (written?.energy ?? 0).squareRoot(),
      departure: distance(whole, written),
      leastResidual: max(0, least - rounding), largestResidual: most + rounding)
  }
}

/// ‖X − Y‖_F, where nil is zero.
private func distance(_ one: LowRankUpdate?, _ other: LowRankUpdate?) -> Double {
  switch (one, other) {
  case (let one?, let other?): one.squaredDistance(to: other).squareRoot()
  case (let only?, nil), (nil, let only?): only.energy.squareRoot()
  case (nil, nil): 0
  }
}
