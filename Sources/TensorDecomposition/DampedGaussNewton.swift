internal import Foundation
internal import LinearAlgebra

/// CP by damped Gauss-Newton steps on all modes at once, which gets out of the swamps that ALS crawls through.
///
/// f = ½·‖X − X̂‖². The Gramian JᵀJ is never formed: its product with a step takes a few R × R matrices (Tomasi and
/// Bro 2006; Sorber, Van Barel and De Lathauwer 2013), so conjugate gradients with the blocks of ALS as
/// preconditioner cost little beside one look at the data. A step that was no gain costs half a sweep.
///
/// With a ridge, f has ½ρ·‖point‖² added, which keeps components bounded where the best sum of R terms does not exist;
/// the fit is then a little worse than it could be.
///
/// A point is one matrix of R × (sum of the lengths): the factors side by side.
public struct DampedGaussNewton<Source: MTTKRPSource> {
  /// The source of products.
  public private(set) var source: Source
  private var state: State
  /// μ of JᵀJ + μI.
  private var damping: Double
  /// ρ.
  private let ridge: Double

  /// Limits of the inner iteration: solving loosely (20 and 0.1) took twice as many steps, each hardly cheaper.
  private static var conjugateGradientLimit: Int { 80 }
  private static var forcing: Double { 0.01 }

  private struct State {
    let point: SharedMatrix<Double>
    let factors: [SharedMatrix<Double>]
    let grams: [SharedMatrix<Double>]
    /// MTTKRPs where they are known already.
    var products: [SharedMatrix<Double>?]
    /// ‖X − X̂‖².
    let residual: Double
    /// 2f: the same with the ridge.
    let objective: Double
  }

  /// Starts from a Kruskal tensor.
  ///
  /// - Parameters:
  ///   - source: Where products come from.
  ///   - start: Of the source's shape.
  ///   - ridge: ρ relative to ‖X‖ to the power 2 − 2/(number of modes), which makes it independent of scale.
  /// - Throws: What the source throws.
  public init(_ source: Source, from start: KruskalTensor, ridge: Double = 0) throws {
    precondition(start.shape == source.shape, "start and data differ in shape")
    self.source = source
    let unit = start.normalized()
    // Weights spread evenly: the scaling between modes is free, and this is where it is best conditioned.
    let share = unit.weights.map { rootOf($0, degree: unit.factors.count) }
    let point = Matrix<Double>(uninitializedRows: unit.rank, columns: source.shape.reduce(0, +))
    var start = 0
    for factor in unit.factors {
      copy(factor.matrix.scalingRows(by: share), into: point.view.columns(start..<start + factor.columnCount))
      start += factor.columnCount
    }
    self.ridge = ridge * pow(source.squaredNorm, 1 - 1 / Double(unit.factors.count))
    state = try Self.evaluate(SharedMatrix(point), &self.source, ridge: self.ridge)
    // The diagonal entries of JᵀJ are those of the products of all Gram matrices but one.
    let grams = state.grams
    let largest = grams.indices.map { own in
      largestDiagonal(hadamard(grams.indices.filter { $0 != own }.map { grams[$0] }, count: unit.rank))
    }
    damping = 1e-3 * (largest.max() ?? 1)
  }

  /// The decomposition so far, in normal form.
  public var model: KruskalTensor {
    KruskalTensor(weights: state.factors[0].matrix.rowNorms().map { _ in 1 }, factors: state.factors)
      .normalized()
  }

  /// ‖X − X̂‖² from the products, with rounding of 1e-16·‖X‖².
  public var residual: Double { max(0, state.residual) }

  /// Steps until the residual's relative change is below a tolerance.
  ///
  /// - Returns: The steps tried, and whether the tolerance was met before the limit.
  public mutating func run(steps limit: Int, tolerance: Double) throws -> (steps: Int, isConverged: Bool) {
    let floor = 1e-15 * source.squaredNorm
    for step in 0..<limit {
      guard state.residual > floor else { return (step, true) }
      let before = state.objective
      let isAccepted = try self.step()
      if isAccepted, before - state.objective <= tolerance * before { return (step + 1, true) }
      if damping > 1e12 * source.squaredNorm { return (step + 1, true) }
    }
    return (limit, false)
  }

  /// Tries one step and adapts the damping; false if it was no gain.
  private mutating func step() throws -> Bool {
    try completeProducts()
    let (move, predicted) = solveForStep()
    let candidate = state.point.matrix.copy()
    addAll(move.matrix, times: 1, into: candidate)
    let next = try Self.evaluate(SharedMatrix(candidate), &source, ridge: ridge)
    let gain = (state.objective - next.objective) / 2
    // NaN is no gain either.
    guard gain > 0 else {
      damping *= 5
      return false
    }
    state = next
    let ratio = gain / predicted
    if ratio > 0.75 { damping /= 5 } else if ratio < 0.25 { damping *= 3 }
    return true
  }

  /// The residual at a point, from the first group of modes alone.
  private static func evaluate(
    _ point: SharedMatrix<Double>, _ source: inout Source, ridge: Double
  ) throws -> State {
    var factors: [SharedMatrix<Double>] = []
    var start = 0
    for length in source.shape {
      factors.append(SharedMatrix(point.matrix.copyingColumns(start..<start + length)))
      start += length
    }
    let grams = factors.map { SharedMatrix(rowProducts($0.matrix, $0.matrix)) }
    var products: [SharedMatrix<Double>?] = factors.map { _ in nil }
    try source.prepare(group: 0, factors: factors)
    for mode in source.modeGroups[0] {
      products[mode] = SharedMatrix(try source.mttkrp(mode: mode, factors: factors))
    }
    let mode = source.modeGroups[0][0]
    let inner = products[mode].map { quadraticForm($0.matrix, factors[mode].matrix) } ?? 0
    let ones = Matrix<Double>(repeating: 1, rows: grams[0].rowCount, columns: grams[0].rowCount)
    let own = quadraticForm(hadamard(grams, count: grams[0].rowCount), ones)
    let residual = source.squaredNorm - 2 * inner + own
    return State(
      point: point, factors: factors, grams: grams, products: products, residual: residual,
      objective: residual + ridge * quadraticForm(point.matrix, point.matrix))
  }

  private mutating func completeProducts() throws {
    for (group, modes) in source.modeGroups.enumerated() where state.products[modes[0]] == nil {
      try source.prepare(group: group, factors: state.factors)
      for mode in modes {
        state.products[mode] = SharedMatrix(try source.mttkrp(mode: mode, factors: state.factors))
      }
    }
  }

  /// Solves (JᵀJ + μI)·p = −∇f; also returns by how much the quadratic model says f falls.
  private func solveForStep() -> (SharedMatrix<Double>, predicted: Double) {
    let model = NormalEquations(factors: state.factors, grams: state.grams, damping: damping + ridge)
    let rest = model.negativeGradient(state.products)
    addAll(state.point.matrix, times: -ridge, into: rest)
    let step = Matrix<Double>(repeating: 0, rows: rest.rowCount, columns: rest.columnCount)
    var direction = model.preconditioned(rest)
    var slope = quadraticForm(rest, direction)
    let gradient = rest.copy()
    let target = Self.forcing * quadraticForm(rest, rest).squareRoot()
    for _ in 0..<Self.conjugateGradientLimit where slope > 0 {
      let image = model.applied(to: direction)
      let length = slope / quadraticForm(direction, image)
      add(direction.view, times: length, into: step.view)
      add(image.view, times: -length, into: rest.view)
      guard quadraticForm(rest, rest).squareRoot() > target else { break }
      let next = model.preconditioned(rest)
      let nextSlope = quadraticForm(rest, next)
      add(direction.view, times: nextSlope / slope, into: next.view)
      direction = next
      slope = nextSlope
    }
    // pᵀ(JᵀJ + μI)p = pᵀ(−∇f − rest).
    let descent = quadraticForm(gradient, step)
    let curvature =
      descent - quadraticForm(rest, step) - damping * quadraticForm(step, step)
    return (SharedMatrix(step), descent - curvature / 2)
  }
}

private func largestDiagonal(_ matrix: borrowing Matrix<Double>) -> Double {
  (0..<matrix.rowCount).reduce(0) { max($0, matrix[$1, $1]) }
}

private func rootOf(_ value: Double, degree: Int) -> Double {
  // A component of weight zero would have no gradient at all.
  pow(max(value, .leastNormalMagnitude), 1 / Double(degree))
}

private func copy(_ matrix: borrowing Matrix<Double>, into target: MatrixView<Double>) {
  target.copy(from: matrix.view)
}

private func addAll(
  _ matrix: borrowing Matrix<Double>, times factor: Double, into target: borrowing Matrix<Double>
) {
  add(matrix.view, times: factor, into: target.view)
}
