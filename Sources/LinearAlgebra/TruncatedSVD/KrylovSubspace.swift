/// Vectors multiplied at once: the rank, rounded up to what a vector register holds.
///
/// Narrower blocks need fewer operations at equal accuracy (noise at rank 32: 272 vectors in blocks of 16, 352 in
/// blocks of 32), but of a cluster of close singular values a Krylov space finds no more than a block holds until
/// rounding helps it: with blocks of 16, forty equal ones were taken for sixteen, and the gains said nothing of it.
/// Blocks of k find k of them, which is all that a rank k needs.
func krylovBlockLength(rank: Int) -> Int { max(16, (rank + 15) / 16 * 16) }

/// Blocks between two looks at the captured energy: 32 vectors at least, for gains that stand out.
func krylovBlocksPerLook(rank: Int) -> Int { krylovBlockLength(rank: rank) < 32 ? 2 : 1 }

/// The leading subspace by adaptive randomized block Krylov iteration on the Gram operator.
///
/// With B the l × s matrix of `ShortSideOperator`, the space is spanned by X, BᵀB·X, (BᵀB)²·X, … for a random
/// block X. It ends when the energy of the best rank k inside it is within `tolerance` of what it would become,
/// or when the space is everything.
///
/// 1. Z = Qⱼ·BᵀB, one read of A.
/// 2. Z·Qᵀ is the next block row of T = Q·BᵀB·Qᵀ, whose k largest eigenvalues sum to the captured energy.
/// 3. Stop by the gain rule, else make Z orthonormal, and orthogonal to all of Q, and append it.
/// 4. At the end, the k leading eigenvectors of T times Q.
///
/// Q lies on the short side and is the same on every rank of a group; only Z is summed over the ranks.
///
/// Musco and Musco (2015), arXiv 1504.05477; Tropp and Webber (2023), arXiv 2306.12418. The order "project,
/// QR, project, QR" matters: projecting twice before the QR lost orthogonality to 1e-2 in single precision on
/// differences that are low rank plus a flat tail.
func krylovSubspace(
  of matrix: ShortSideOperator, energy: Double, rank: Int, tolerance: Double, random: CounterRandom
) throws(LAPACKError) -> LeadingSubspace {
  var basis = KrylovBasis(
    vectorLength: matrix.shortLength, blockLength: krylovBlockLength(rank: rank), random: random)
  var rule = GainRule(energy: energy, tolerance: max(tolerance, energyRounding))
  let blocksPerLook = krylovBlocksPerLook(rank: rank)
  while true {
    let image = matrix.applyGram(basis.newestBlock)
    basis.take(image: image)
    if basis.count >= rank && basis.blockCount.isMultiple(of: blocksPerLook) {
      rule.append(captured: try basis.ritzEnergy(rank: rank))
    }
    if rule.isSatisfied || basis.isFull || !basis.append(image) { break }
  }
  let remainder = basis.isComplete ? 0 : rule.remainder
  return LeadingSubspace(
    vectors: try basis.ritzVectors(rank: rank),
    certificate: .init(
      method: .krylov, passes: basis.blockCount, estimate: .remainder(remainder),
      isConverged: basis.isComplete || rule.isSatisfied))
}
