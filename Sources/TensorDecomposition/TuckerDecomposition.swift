public import LinearAlgebra

/// A tensor as a smaller core times one orthonormal basis a mode: X ≈ G ×₁ U₁ᵀ ×₂ U₂ᵀ ….
///
/// 1. A sequentially truncated HOSVD (Vannieuwenhoven, Vandebril and Meerbergen 2012) gives ranks and a start.
/// 2. HOOI (De Lathauwer, De Moor and Vandewalle 2000) improves one basis after the other until the captured
///    energy stands still; it never loses any. At given ranks a second run starts from the HOSVD that is not
///    sequential, and the better one counts: on noise they end 1e-3 apart, either way round.
/// 3. For a tolerance, ranks that the improved bases no longer need are given up, and 2 is repeated.
/// 4. The bases are turned so that the slices of the core are orthogonal to each other and ordered by energy in
///    every mode, and signs are fixed: the largest entry of every basis vector is positive.
///
/// Entries may be of any scale whose squares are ordinary doubles.
public struct TuckerDecomposition: Sendable {
  /// How many basis vectors each mode gets.
  public enum Truncation: Sendable {
    /// So many a mode; nil leaves a mode whole, without a basis. What is too large is clamped, with a note.
    case ranks([Int?])
    /// As few as keep ‖X − X̂‖ ≤ ε·‖X‖, with the named modes left whole.
    case tolerance(Double, whole: Set<Int> = [])
  }

  /// When HOOI stops.
  public struct Options: Sendable {
    /// Relative change of the captured energy in a sweep below which it has converged.
    public var convergence = 1e-12
    /// Sweeps after which it stops anyway.
    public var sweepLimit = 2000

    /// The defaults.
    public init() {}
  }

  /// What was found out on the way.
  public struct Report: Sendable {
    /// ‖X‖².
    public let squaredNorm: Double
    /// ‖X‖² − ‖G‖²: what orthonormal bases leave out, by Pythagoras; rounding of 1e-16·‖X‖².
    public let lostEnergy: Double
    /// ‖X − X̂‖², summed over the differences.
    public let residual: Double
    /// The energy that the ST-HOSVD captured.
    public let initialEnergy: Double
    /// The energy captured by the start and after each sweep of HOOI, at the ranks in force then.
    public let capturedEnergies: [Double]
    /// The ranks that the ST-HOSVD chose.
    public let initialRanks: [Int]
    /// Whether the last sweep changed the energy by less than the limit.
    public let isConverged: Bool
    /// What was asked for and not done as asked, one sentence each.
    public let notes: [String]

    /// ‖X − X̂‖ / ‖X‖; zero for a zero tensor.
    public var relativeError: Double { squaredNorm > 0 ? (residual / squaredNorm).squareRoot() : 0 }
  }

  /// The core, of as many entries a mode as the mode has basis vectors.
  public let core: DenseTensor
  /// One a mode: orthonormal vectors as rows, rank × length; nil where a mode is left whole.
  public let bases: [SharedMatrix<Double>?]
  /// Errors, energies and what was changed.
  public let report: Report

  /// Decomposes a tensor of finite entries.
  public init(of tensor: DenseTensor, _ truncation: Truncation, options: Options = Options()) throws {
    if let indices = tensor.firstNonFinite() {
      throw TensorError.notFinite(indices: indices, shape: tensor.shape)
    }
    let plan = try TruncationPlan(truncation, shape: tensor.shape)
    let compressed = try Self(of: tensor, plan, options)
    let report = compressed.report
    if let allowed = plan.allowedLoss(of: report.squaredNorm), report.residual > allowed {
      // Energies cannot tell tails below 1e-16 of the whole; whole modes meet any tolerance.
      let whole = TruncationPlan(
        wholeModesOf: tensor.shape,
        note: "the tolerance is below what double precision resolves; no mode was compressed")
      self = try Self(of: tensor, whole, options)
    } else {
      self = compressed
    }
  }

  private init(of tensor: DenseTensor, _ plan: TruncationPlan, _ options: Options) throws {
    let energy = tensor.squaredNorm
    var plan = plan
    let start = try sequentiallyTruncated(tensor, plan: &plan, energy: energy)
    var iteration = OrthogonalIteration(tensor: tensor, bases: start)
    let initialEnergy = iteration.core.squaredNorm
    var captured = [initialEnergy]
    var isConverged = try iteration.run(options, captured: &captured)
    if let allowed = plan.allowedLoss(of: energy) {
      while let fewer = try iteration.smallerRanks(needed: energy - allowed) {
        iteration.keepLeading(fewer)
        captured.append(iteration.core.squaredNorm)
        isConverged = try iteration.run(options, captured: &captured)
      }
    } else {
      var other = OrthogonalIteration(tensor: tensor, bases: try truncated(tensor, plan: plan))
      var energies = [other.core.squaredNorm]
      let otherIsConverged = try other.run(options, captured: &energies)
      if other.core.squaredNorm > iteration.core.squaredNorm {
        (iteration, captured, isConverged) = (other, energies, otherIsConverged)
      }
    }
    try iteration.orderCore()
    iteration.fixSigns()
    core = iteration.core
    bases = iteration.bases
    report = Report(
      squaredNorm: energy, lostEnergy: max(0, energy - core.squaredNorm),
      residual: tensor.squaredDistance(to: Self.expanded(core, bases)), initialEnergy: initialEnergy,
      capturedEnergies: captured,
      initialRanks: plan.ranks, isConverged: isConverged, notes: plan.notes)
  }

  /// The number of basis vectors of each mode; its length where it is left whole.
  public var ranks: [Int] { core.shape }

  /// X̂, of the shape of the tensor that was decomposed.
  public func reconstructed() -> DenseTensor { Self.expanded(core, bases) }

  private static func expanded(_ core: DenseTensor, _ bases: [SharedMatrix<Double>?]) -> DenseTensor {
    bases.indices.reduce(core) { partial, mode in
      bases[mode].map { partial.modeProduct(mode, transposed: $0.matrix) } ?? partial
    }
  }
}
