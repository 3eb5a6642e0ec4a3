public import LinearAlgebra
internal import TensorDecomposition

/// A canonical polyadic decomposition of a stack: X ≈ Σ λᵣ·(model use)ᵣ ⊗ (layer profile)ᵣ ⊗ (outputs)ᵣ ⊗ (inputs)ᵣ.
///
/// 1. Subspaces of both sides at twice the rank, and the stack as they see it, as for Tucker.
/// 2. CP of the Tucker core of that, from many starts, with what tells whether to believe the components.
/// 3. A few alternating least-squares sweeps over the data itself.
public struct StackCP: Sendable {
  /// λ: positive, descending.
  public let weights: [Double]
  /// Unit vectors as rows, R × length of the mode: models if there are several, layers, outputs, inputs.
  ///
  /// The largest entry of each is positive but for the first mode, which carries the component's sign.
  public let factors: [SharedMatrix<Float>]
  /// What the search found; complete on rank 0 alone.
  public let report: Report
  private let factor: Double
  private let layerCount: Int

  /// Components.
  public var rank: Int { weights.count }

  /// What is wanted.
  public struct Options: Sendable, Equatable {
    /// Components.
    public var rank: Int
    /// Starts on the core.
    public var startCount = 20
    /// Sweeps over the data at most.
    public var sweepLimit = 3
    /// Steps of the subspace iteration at most; nil for 3, or 12 where the stack is small.
    public var stepLimit: Int?

    /// Options for so many components.
    public init(rank: Int) { self.rank = rank }
  }

  /// How the search went, and what tells whether to believe its result.
  public struct Report: Sendable, Codable, Equatable {
    /// The energy that the subspaces captured when each step began.
    public var capturedEnergies: [Double] = []
    /// Vectors of both sides that the core has.
    public var coreRanks: [Int] = []
    /// ‖C − Ĉ‖ / ‖C‖ of every start after its short run, best first.
    public var startErrors: [Double] = []
    /// The factor match score between the best two runs on the core: near 1 where another start tells the same.
    public var matchOfBestTwo: Double?
    /// CORCONDIA of the core: near 100 if the number of components fits.
    public var coreConsistency: Double?
    /// ‖X − X̂‖ / ‖X‖ after each sweep over the data, from the products.
    public var sweepErrors: [Double] = []
    /// Σλ² / ‖X‖²; far above 1 where components cancel.
    public var weightRatio = 0.0
    /// The two components that are most alike, and the product of their cosines over the modes.
    public var mostAlike: Pair?
    /// Whether components cancel or coincide: numbers that describe nothing.
    public var isDegenerate = false
    /// Sentences about the search.
    public var notes: [String] = []

    /// Two components.
    public struct Pair: Sendable, Codable, Equatable {
      /// The stronger.
      public let first: Int
      /// The weaker.
      public let second: Int
      /// Near −1 they cancel, near 1 they are one.
      public let congruence: Double
    }
  }

  /// A sweep that lowers the relative error by less is the last.
  private static let smallestGain = 1e-4

  /// Collective: decomposes a stack; nil if all its entries are zero.
  ///
  /// - Parameters:
  ///   - stack: The slices.
  ///   - options: What is wanted.
  ///   - state: Where an interrupted run had come with the subspaces.
  ///   - keep: Called on every rank after each subspace step with the state to carry on from.
  /// - Throws: What is wrong with a slice, what `keep` throws, or `LAPACKError`.
  public init?(
    _ stack: SliceStack, _ options: Options, from state: CoupledSubspaces? = nil,
    keep: (CoupledSubspaces) throws -> Void = { _ in }
  ) throws {
    let (left, right) = (min(stack.rows, 2 * options.rank), min(stack.columns, 2 * options.rank))
    let seen = try SeenCore(stack, left, right, stepLimit: options.stepLimit, from: state, keep: keep)
    guard let seen else { return nil }
    var report = Report()
    let start = try stack.ranks.fromFirst {
      try coreComponents(of: seen.core, ranks: (left, right), options, stack, &report)
    }
    var squares = AlternatingLeastSquares(
      StackProducts(stack), from: expanded(start, seen.subspaces))
    var error = 1.0
    for _ in 0..<options.sweepLimit {
      let residual = try stack.ranks.fromFirst(squares.sweep())
      let previous = error
      error = (residual / stack.scaledEnergy).squareRoot()
      report.sweepErrors.append(error)
      if report.sweepErrors.count > 1, previous - error < Self.smallestGain { break }
    }
    let model = squares.model
    weights = model.weights.map { Double(Float($0 / stack.factor)) }
    factors = model.factors.map { SharedMatrix($0.matrix.narrowed()) }
    let scale = 1 / (stack.factor * stack.factor)
    report.capturedEnergies = seen.subspaces.capturedEnergies.map { $0 * scale }
    report.judge(model, energy: stack.scaledEnergy)
    self.report = report
    factor = stack.factor
    layerCount = stack.layerCount
  }
}

/// CP of a core on one rank: the components' vectors in the core's coordinates, one matrix a mode, and the weights.
private func coreComponents(
  of core: DenseTensor, ranks: (left: Int, right: Int), _ options: StackCP.Options, _ stack: SliceStack,
  _ report: inout StackCP.Report
) throws -> [SharedMatrix<Double>] {
  var tuckerOptions = TuckerDecomposition.Options()
  tuckerOptions.convergence = 1e-9
  tuckerOptions.sweepLimit = 60
  let whole = [Int?](repeating: nil, count: stack.outerShape.count)
  let tucker = try TuckerDecomposition(
    of: core, .ranks(whole + [ranks.left, ranks.right]), options: tuckerOptions)
  var search = CanonicalPolyadic.Options()
  search.startCount = options.startCount
  search.random = stack.random("cp")
  let found = try CanonicalPolyadic(of: tucker.core, rank: options.rank, options: search)
  report.coreRanks = Array(tucker.ranks.suffix(2))
  report.startErrors = found.report.runs.map { $0.error ?? $0.shortError }.sorted()
  report.matchOfBestTwo = found.report.matchOfBestTwo
  report.coreConsistency = found.report.coreConsistency
  report.notes = found.report.notes
  let model = found.model.expanded(through: tucker.bases)
  return model.factors + [SharedMatrix(Matrix(model.weights, rows: 1, columns: model.rank))]
}

/// Components of a core as components of the stack.
private func expanded(_ found: [SharedMatrix<Double>], _ subspaces: CoupledSubspaces) -> KruskalTensor {
  let modes = found.count - 1
  var bases = [SharedMatrix<Double>?](repeating: nil, count: modes)
  bases[modes - 2] = SharedMatrix(subspaces.left.matrix.widened())
  bases[modes - 1] = SharedMatrix(subspaces.right.matrix.widened())
  return KruskalTensor(weights: found[modes].matrix.elements, factors: Array(found[..<modes]))
    .expanded(through: bases)
}

extension StackCP.Report {
  /// Looks at the components that came out in the end.
  fileprivate mutating func judge(_ model: KruskalTensor, energy: Double) {
    weightRatio = model.weights.reversed().reduce(0) { $0 + $1 * $1 } / energy
    let congruences = model.congruences()
    for second in 0..<model.rank {
      for first in 0..<second where abs(congruences[second, first]) > abs(mostAlike?.congruence ?? 0) {
        mostAlike = Pair(first: first, second: second, congruence: congruences[second, first])
      }
    }
    isDegenerate = weightRatio > 10 || abs(mostAlike?.congruence ?? 0) > 0.99
  }
}

extension StackCP: StackModel {
  var parameterCount: Int { weights.count + factors.reduce(0) { $0 + $1.matrix.count } }

  func residual(of slice: Slice, _ index: Int, threadCount: Int) -> Double {
    let modes = factors.count
    let (tuned, layer) = (index / layerCount, index % layerCount)
    let left = Matrix<Float>(uninitializedRows: rank, columns: slice.matrix.rowCount)
    left.view.copy(from: factors[modes - 2].matrix.view)
    for component in 0..<rank {
      var weight = weights[component] * factor * Double(factors[modes - 3].matrix[component, layer])
      if modes == 4 { weight *= Double(factors[0].matrix[component, tuned]) }
      left.view.rows(component..<component + 1).scale(by: weight)
    }
    let columns = left.transposed()
    return JointDecomposition.residual(
      of: slice, minus: columns, times: factors[modes - 1].matrix, threadCount: threadCount)
  }
}

extension StackCP {
  /// Collective: the exact residual of what is stored, beside separate SVDs if asked; one read.
  public func certificate(on stack: SliceStack, comparesSeparateSVDs: Bool) throws -> StackCertificate {
    try StackCertificate(self, of: stack, comparesSeparateSVDs: comparesSeparateSVDs)
  }
}
