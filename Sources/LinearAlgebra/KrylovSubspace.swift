/// Vectors multiplied at once: enough for the BLAS to run at speed, and no fewer than the rank up to 128.
///
/// At equal accuracy narrow blocks need fewer operations and wide ones fewer reads of A; with k ≤ 128 the
/// block is k, and a Krylov space of blocks narrower than k is right for larger k too (Chen, Epperly, Meyer,
/// Musco and Rao, arXiv 2508.06486).
func krylovBlockLength(rank: Int) -> Int {
  rank <= 128 ? max(32, (rank + 15) / 16 * 16) : (rank / 2 + 63) / 64 * 64
}

/// The leading subspace by adaptive randomized block Krylov iteration on the Gram operator.
///
/// With B the l × s matrix of `ShortSideOperator`, the space is spanned by X, BᵀB·X, (BᵀB)²·X, … for a random
/// block X. It ends when the energy of the best rank k inside it is within `tolerance` of what it would become,
/// or when the space is everything.
///
/// 1. Z = Qⱼ·BᵀB, one read of A.
/// 2. Z·Qᵀ is the next block row of T = Q·BᵀB·Qᵀ, whose k largest eigenvalues sum to the captured energy.
/// 3. Stop by the gain rule, else orthonormalise Z against all of Q, twice, and append it.
/// 4. At the end, the k leading eigenvectors of T times Q.
///
/// Musco and Musco (2015), arXiv 1504.05477; Tropp and Webber (2023), arXiv 2306.12418. The order "project,
/// QR, project, QR" matters: projecting twice before the QR lost orthogonality to 1e-2 in single precision on
/// differences that are low rank plus a flat tail.
func krylovSubspace(
  of matrix: borrowing Matrix<Float>, energy: Double, rank: Int, tolerance: Double, random: CounterRandom
) throws(LAPACKError) -> LeadingSubspace {
  let matrixAsOperator = ShortSideOperator(matrix.view)
  var basis = KrylovBasis(
    vectorLength: matrixAsOperator.shortLength, blockLength: krylovBlockLength(rank: rank), random: random)
  var rule = GainRule(energy: energy, tolerance: max(tolerance, energyRounding))
  while true {
    let newest = basis.newestBlock
    let image = Matrix<Float>(uninitializedRows: newest.rowCount, columns: basis.vectorLength)
    matrixAsOperator.applyGram(newest, into: image.view)
    basis.recordProjection(of: image)
    if basis.count >= rank { rule.append(captured: try basis.ritzEnergy(rank: rank)) }
    if rule.isSatisfied || basis.isFull || !basis.append(image) { break }
  }
  let remainder = basis.isComplete ? 0 : rule.remainder
  return LeadingSubspace(
    vectors: try basis.ritzVectors(rank: rank),
    certificate: .init(
      method: .krylov, passes: basis.blockCount, estimate: .remainder(remainder),
      isConverged: basis.isComplete || rule.isSatisfied))
}

/// When a Krylov iteration may stop, from the captured energies after each block.
///
/// The gains shrink by a ratio r that itself changes slowly, so what remains is about g·r/(1 − r) after a gain
/// g. After three blocks that was once a fifth of the true remainder on a real fine-tune; after four it was, over
/// power laws, noise, real pairs and ranks that cut a cluster of spikes, never less than a quarter: hence four
/// blocks at least, and a safety factor of four.
package struct GainRule {
  private let energy: Double
  private let tolerance: Double
  private var captured: [Double] = []

  package init(energy: Double, tolerance: Double) {
    self.energy = energy
    self.tolerance = tolerance
  }

  package mutating func append(captured value: Double) { captured.append(value) }

  /// The energy the best rank k may have beyond what is captured; never more than all that is left.
  package var remainder: Double {
    guard let last = captured.last else { return energy }
    let left = max(0, energy - last)
    guard captured.count >= 4 else { return left }
    let gain = last - captured[captured.count - 2]
    let previousGain = captured[captured.count - 2] - captured[captured.count - 3]
    guard gain > energyRounding * last else { return min(left, max(0, gain)) }
    let ratio = gain / previousGain
    guard ratio < 1 else { return left }
    return min(left, 4 * gain * ratio / (1 - ratio))
  }

  package var isSatisfied: Bool {
    guard let last = captured.last else { return false }
    return remainder <= tolerance * (last + remainder)
  }
}
