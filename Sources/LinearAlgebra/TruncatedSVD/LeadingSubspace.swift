/// A subspace of the shorter side that holds the leading singular vectors, and what its search learnt.
struct LeadingSubspace: ~Copyable {
  /// Orthonormal vectors of the shorter side as rows, k × s.
  let vectors: Matrix<Float>
  let certificate: Certificate

  /// The part of the final report that only the search knows.
  struct Certificate {
    let method: TruncatedSVD.Method
    /// Times each entry of A has been read so far.
    let passes: Int
    /// How the loss follows from the energy that the triplets finally capture.
    let estimate: LossEstimate
    let isConverged: Bool
  }

  /// What is known about the energy of the best rank k.
  enum LossEstimate {
    /// Its value, from the whole spectrum.
    case optimum(Double)
    /// How much more than the captured energy it may be, at most.
    case remainder(Double)
  }
}

/// Relative rounding of captured energies in single precision, the floor of every estimated loss.
let energyRounding = 1e-6

extension LeadingSubspace.LossEstimate {
  /// Estimated 1 − captured/optimal.
  func loss(captured: Double) -> Double {
    switch self {
    case .optimum(let optimum): max(energyRounding, (optimum - captured) / optimum)
    case .remainder(let remainder): max(energyRounding, remainder / (captured + remainder))
    }
  }
}
