/// The leading singular triplets of a matrix, with what is known about their error.
///
/// For A m × n and k = `rank`: U is m × k and Vᵀ is k × n with orthonormal columns and rows, σ has k entries,
/// positive and descending. The largest entry in magnitude of each column of U is positive, which fixes the
/// signs. k is the rank asked for, or the numerical rank of A if that is less; 0 for A = 0.
public struct TruncatedSVD: ~Copyable, Sendable {
  /// Left singular vectors, m × k.
  public let u: Matrix<Float>
  /// Singular values, descending.
  public let s: [Double]
  /// Right singular vectors as rows, k × n.
  public let vh: Matrix<Float>
  /// How the answer was found and how good it is.
  public let report: Report

  /// The number of triplets.
  public var rank: Int { s.count }

  /// The method that finds the triplets.
  public enum Method: String, Sendable, Codable, CaseIterable {
    /// The cheaper of `gram` and `krylov` for the shape and rank.
    case auto
    /// Adaptive randomized block Krylov iteration, stopped by the tolerance.
    case krylov
    /// All eigenvalues of the double-precision Gram matrix of the shorter side.
    case gram
    /// LAPACK's divide-and-conquer SVD of the whole matrix (sgesdd).
    case dense
  }

  /// What is asked for.
  public struct Options: Sendable {
    /// Largest number of triplets, at least 1; min(m, n) at most is used.
    public var rank: Int
    /// Relative loss of captured energy against the best rank k at which `krylov` may stop.
    public var tolerance: Double
    /// The method.
    public var method: Method
    /// The stream the starting block is drawn from.
    public var random: CounterRandom

    /// Options with the defaults of the command line.
    public init(
      rank: Int, tolerance: Double = 1e-3, method: Method = .auto,
      random: CounterRandom = CounterRandom(seed: 0, name: "")
    ) {
      self.rank = rank
      self.tolerance = tolerance
      self.method = method
      self.random = random
    }
  }

  /// The certificate.
  public struct Report: Sendable, Codable, Equatable {
    /// The method that ran.
    public var method: Method
    /// Times every entry of A was read by a product.
    public var passes: Int
    /// ‖A‖_F², summed in double precision.
    public var energy: Double
    /// Σσᵢ² of the triplets kept.
    public var capturedEnergy: Double
    /// ‖A − UΣVᵀ‖_F² before any rounding of the factors.
    public var residualEnergy: Double
    /// Estimated 1 − captured/optimal, where optimal is the energy of the best rank k.
    ///
    /// From the remaining gain of the iteration for `krylov`, with a safety factor; from the full spectrum
    /// for `gram` and `dense`. Never below the rounding of single precision.
    public var estimatedLoss: Double
    /// Whether the estimate met the tolerance; `krylov` says no if it ran out of steps.
    public var isConverged: Bool
  }

  /// Decomposes a matrix of finite entries.
  ///
  /// The same matrix, options and kind of processor give the same bits. The matrix is left as it was: norms
  /// far from 1 are scaled by a power of two meanwhile.
  /// - Throws: `LAPACKError` if an inner eigenvalue or SVD iteration does not converge.
  ///
  /// `energy` is ‖A‖_F² if the caller has it already from reading A. With a share, `matrix` is this rank's part
  /// of A; all members of the group make the same call, and each gets the same, whole triplets.
  public init(
    of matrix: inout Matrix<Float>, energy knownEnergy: Double? = nil, share: LongSideShare? = nil,
    options: Options
  ) throws(LAPACKError) {
    let share = share ?? LongSideShare(rows: matrix.rowCount, columns: matrix.columnCount)
    let energy = knownEnergy ?? matrix.sumOfSquares(share)
    let shape = share.shape
    guard energy > 0 else {
      self = TruncatedSVD(zeroOfRows: shape.rowCount, columns: shape.columnCount)
      return
    }
    precondition(options.rank >= 1, "a truncated SVD has rank 1 at least")
    // Iterates carry ‖A‖² and must not leave the range of a float; a power of two changes no bit of a result.
    let scale = PowerOfTwoScale(norm: energy.squareRoot())
    scale.apply(to: &matrix)
    let rank = min(options.rank, shape.rowCount, shape.columnCount)
    let method = options.method == .auto ? Method.cheapest(for: shape, rank: rank) : options.method
    let scaledEnergy = energy * scale.factor * scale.factor
    let matrixAsOperator = ShortSideOperator(matrix.view, share: share)
    let subspace: LeadingSubspace
    switch method {
    case .gram: subspace = try gramSubspace(of: matrixAsOperator, energy: scaledEnergy, rank: rank)
    case .dense:
      precondition(share.group.memberCount == 1, "sgesdd works on a whole matrix")
      subspace = try denseSubspace(of: matrix, energy: scaledEnergy, rank: rank)
    case .krylov, .auto:
      subspace = try krylovSubspace(
        of: matrixAsOperator, energy: scaledEnergy, rank: rank, tolerance: options.tolerance,
        random: options.random)
    }
    let triplets = try extractTriplets(of: matrixAsOperator, energy: scaledEnergy, from: subspace)
    scale.undo(on: &matrix)
    self = TruncatedSVD(triplets, of: matrix, share: share, energy: energy, scale: scale)
  }

  /// The leading triplets of an exact SVD that was made elsewhere; `optimum` is the energy of the best rank asked for.
  package init(
    exactU u: consuming Matrix<Float>, s: [Double], vh: consuming Matrix<Float>, energy: Double,
    optimum: Double
  ) {
    self.u = u
    self.s = s
    self.vh = vh
    let captured = s.reversed().reduce(0) { $0 + $1 * $1 }
    report = Report(
      method: .gram, passes: 2, energy: energy, capturedEnergy: captured,
      residualEnergy: max(0, energy - captured),
      estimatedLoss: LeadingSubspace.LossEstimate.optimum(optimum).loss(captured: captured), isConverged: true
    )
  }

  /// No triplets at all: the SVD of a matrix of zeros.
  package init(zeroOfRows rows: Int, columns: Int) {
    u = Matrix(uninitializedRows: rows, columns: 0)
    s = []
    vh = Matrix(uninitializedRows: 0, columns: columns)
    report = Report(
      method: .auto, passes: 0, energy: 0, capturedEnergy: 0, residualEnergy: 0, estimatedLoss: 0,
      isConverged: true)
  }

  private init(
    _ triplets: consuming Triplets, of matrix: borrowing Matrix<Float>, share: LongSideShare, energy: Double,
    scale: PowerOfTwoScale
  ) {
    let certificate = triplets.certificate
    u = triplets.leftRows.transposed()
    s = triplets.values.map { $0 / scale.factor }
    vh = triplets.rightRows
    let captured = s.reversed().reduce(0) { $0 + $1 * $1 }
    report = Report(
      method: certificate.method, passes: certificate.passes, energy: energy, capturedEnergy: captured,
      residualEnergy: Self.residualEnergy(
        of: matrix, share: share, energy: energy, captured: captured, u: u, s: s, vh: vh),
      estimatedLoss: certificate.estimatedLoss, isConverged: certificate.isConverged)
  }

  /// ‖A‖² − Σσ² while that difference has digits left, the explicit sum below.
  private static func residualEnergy(
    of matrix: borrowing Matrix<Float>, share: LongSideShare, energy: Double, captured: Double,
    u: borrowing Matrix<Float>, s: [Double], vh: borrowing Matrix<Float>
  ) -> Double {
    let difference = energy - captured
    // Orthogonality to 1e-7 leaves 1e-7·‖A‖² of doubt: a relative 1e-4 of the difference at this bound.
    if difference > 1e-2 * energy { return difference }
    var weighted = Matrix<Float>(uninitializedRows: u.rowCount, columns: u.columnCount)
    u.scaleColumns(by: s.map { Float($0) }, into: &weighted)
    return residualSumOfSquares(of: matrix, minus: weighted, times: vh, share: share)
  }
}

extension TruncatedSVD.Method {
  /// The method that takes less time.
  ///
  /// Gram: l·s² operations to form the matrix and about 9·s³ for all eigenvectors, in double precision. Krylov: the
  /// expected steps and one more of 4·l·s·b with b ≥ k. Small matrices go by measurement instead: up to s = 768 the
  /// Gram matrix wins where the iteration's basis, eight blocks or so, would come near the whole space
  /// (`unbraid-bench svd --method` times both).
  public static func cheapest(for shape: (rowCount: Int, columnCount: Int), rank: Int) -> Self {
    let side = min(shape.rowCount, shape.columnCount)
    let block = krylovBlockLength(rank: rank)
    if side <= 768 { return side <= 8 * block ? .gram : .krylov }
    let short = Double(side)
    let long = Double(max(shape.rowCount, shape.columnCount))
    let gram = 2 * (long * short * short + 9 * short * short * short)
    let steps = Double(TruncatedSVD.expectedSteps(rank: rank) + 1)
    return gram < steps * 4 * long * short * Double(block) ? .gram : .krylov
  }
}

extension TruncatedSVD {
  /// Vectors that a Krylov step multiplies at once for this rank, for estimates of cost and memory.
  public static func blockLength(rank: Int) -> Int { krylovBlockLength(rank: rank) }

  /// Steps that a Krylov iteration takes as a rule on a fine-tune's difference: five looks at its energy.
  public static func expectedSteps(rank: Int) -> Int { 5 * krylovBlocksPerLook(rank: rank) }
}
