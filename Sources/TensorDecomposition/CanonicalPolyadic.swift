public import LinearAlgebra

/// A tensor as a sum of rank-one terms (CP, CANDECOMP/PARAFAC), with what tells whether to believe it.
///
/// 1. Many short runs of ALS from different starts, under a ridge that decreases to zero.
/// 2. The best third goes on by some damped Gauss-Newton steps: early residuals say little about late ones.
/// 3. The best few of those go on until the residual stands still; the best one is the result.
/// 4. It is compared with the second best, and its components with each other.
///
/// The same tensor, rank and random stream give the same bits on one kind of processor and one BLAS thread.
public struct CanonicalPolyadic: Sendable {
  /// Where a run begins.
  public enum Start: String, Sendable {
    /// The singular vectors of the unfoldings, and random ones where these are too few.
    case singularVectors
    /// The eigenvectors of two random mixtures of slices (Jennrich).
    case pencil
    /// Random normal vectors.
    case random
  }

  /// How much is tried.
  public struct Options: Sendable {
    /// Runs to begin with.
    public var startCount = 20
    /// Sweeps of each.
    public var shortSweeps = 10
    /// How many of them go on for `trialSteps`.
    public var trialCount = 7
    /// Gauss-Newton steps of those.
    public var trialSteps = 15
    /// How many go on to the end; the best two of these are compared.
    public var finalCount = 3
    /// Gauss-Newton steps of a run at most.
    public var stepLimit = 250
    /// Relative change of the residual ‖X − X̂‖² in a step below which a run has converged.
    public var convergence = 1e-10
    /// A ridge that stays, as in `DampedGaussNewton`: zero for the best fit, 1e-4 to 1e-3 where that is degenerate.
    ///
    /// Of tensors that decay slowly, 1e-3 lost 0.3 to 0.8 % in relative error and brought Σλ² from 10⁴ times the
    /// energy to below three times; on planted components 1e-3 is hardly seen. 0.1 leaves nothing.
    public var ridge = 0.0
    /// Where random starts come from.
    public var random = CounterRandom(seed: 0, name: "cp")

    /// The defaults.
    public init() {}
  }

  /// Unit vectors, positive weights in descending order, signs fixed; see `KruskalTensor.normalized`.
  public let model: KruskalTensor
  /// Errors, and what tells whether to believe the components.
  public let report: Report

  /// Decomposes a tensor of finite entries into so many terms, or as many as it can have.
  public init(of tensor: DenseTensor, rank wanted: Int, options: Options = Options()) throws {
    guard wanted >= 1 else { throw TensorError.rankTooSmall(wanted) }
    if let indices = tensor.firstNonFinite() {
      throw TensorError.notFinite(indices: indices, shape: tensor.shape)
    }
    let largest = tensor.count / (tensor.shape.max() ?? 1)
    let rank = min(wanted, largest)
    var notes = Self.notes(on: tensor, rank: rank)
    if rank < wanted {
      notes.insert(
        "rank \(wanted) became \(rank), which is enough for any \(shapeText(tensor.shape)) tensor", at: 0)
    }
    guard tensor.squaredNorm > 0 else {
      model = Self.zero(shape: tensor.shape, rank: rank)
      report = try Report(model, of: tensor, runs: [], second: nil, notes: notes + ["the tensor is zero"])
      return
    }
    var runs = try Self.shortRuns(tensor, rank: rank, options)
    let trials = Self.best(options.trialCount, of: runs)
    for index in trials { try runs[index].goOn(tensor, steps: options.trialSteps, options) }
    let finals = Self.best(options.finalCount, of: runs, among: trials)
    for index in finals { try runs[index].goOn(tensor, steps: options.stepLimit, options) }
    let order = Self.best(finals.count, of: runs, among: finals)
    model = runs[order[0]].model
    report = try Report(
      model, of: tensor, runs: runs.map(\.report), second: order.dropFirst().first.map { runs[$0].model },
      notes: notes)
  }

  /// The runs with the least error, best first; of equals the first.
  private static func best(_ count: Int, of runs: [Run], among candidates: [Int]? = nil) -> [Int] {
    let order = (candidates ?? Array(runs.indices)).sorted { (runs[$0].error, $0) < (runs[$1].error, $1) }
    return Array(order.prefix(max(1, count)))
  }

  /// One start and what became of it.
  private struct Run {
    var model: KruskalTensor
    var report: Report.Run
    var error: Double { report.error ?? report.shortError }

    private var newton: DampedGaussNewton<DenseSource>?

    init(model: KruskalTensor, report: Report.Run) {
      self.model = model
      self.report = report
    }

    /// Steps until converged, or until so many have been taken since the short run.
    mutating func goOn(_ tensor: DenseTensor, steps limit: Int, _ options: Options) throws {
      guard !report.isConverged else { return }
      var newton =
        try newton
        ?? DampedGaussNewton(
          DenseSource(tensor), from: model, ridge: options.ridge)
      let (steps, isConverged) = try newton.run(
        steps: max(0, limit - report.steps), tolerance: options.convergence)
      model = newton.model
      self.newton = newton
      report.error = (newton.residual / tensor.squaredNorm).squareRoot()
      report.steps += steps
      report.isConverged = isConverged
    }
  }

  private static func shortRuns(_ tensor: DenseTensor, rank: Int, _ options: Options) throws -> [Run] {
    let starts = try CanonicalStarts(tensor, rank: rank, random: options.random)
    return try (0..<max(1, options.startCount)).map { number in
      let kind: Start =
        number == 0 ? .singularVectors : number < 5 && starts.allowsPencil ? .pencil : .random
      var squares = AlternatingLeastSquares(
        DenseSource(tensor), from: try starts.start(kind, number: number))
      // What a pencil gives is near a solution already, and a ridge would push it away.
      var (residual, ridge) = (tensor.squaredNorm, kind == .pencil ? 0 : firstRidge)
      for sweep in 0..<max(1, options.shortSweeps) {
        // The last sweep is without, so that residuals of different runs compare.
        residual = try squares.sweep(ridge: sweep + 1 < options.shortSweeps ? ridge : 0)
        ridge *= ridgeDecay
      }
      return Run(
        model: squares.model,
        report: .init(start: kind, shortError: (residual / tensor.squaredNorm).squareRoot()))
    }
  }

  /// μ of the first sweep, relative to the mean diagonal of the normal equations, and its factor from one to the
  /// next.
  private static let firstRidge = 0.1
  private static let ridgeDecay = 0.3

  private static func zero(shape: [Int], rank: Int) -> KruskalTensor {
    KruskalTensor(
      weights: Array(repeating: 0, count: rank),
      factors: shape.map { length in
        let factor = Matrix<Double>(repeating: 0, rows: rank, columns: length)
        for row in 0..<rank { factor.view.row(row)[row % length] = 1 }
        return SharedMatrix(factor)
      })
  }

  private static func notes(on tensor: DenseTensor, rank: Int) -> [String] {
    let long = tensor.shape.count { $0 > 1 }
    guard long < 3, rank > 1 else { return [] }
    return [
      "only \(long) of the modes of the \(shapeText(tensor.shape)) tensor have more than one entry: components "
        + "of a matrix are not unique"
    ]
  }
}
