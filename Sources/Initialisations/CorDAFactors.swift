public import LinearAlgebra

/// The second moments of a module's inputs, made invertible as CorDA does it.
struct DampedCovariance: ~Copyable {
  /// C + damping · mean(diag C) · I.
  let matrix: Matrix<Double>
  /// What was needed.
  let damping: Double

  /// The first damping that is tried, as in PEFT.
  private static let firstDamping: Float = 0.01
  /// The largest ‖C·C⁻¹ − I‖_F that is accepted, as in PEFT.
  private static let largestError = 0.05
  /// The largest ‖C − Cᵀ‖_F / ‖C‖_F that is accepted: sums in half precision, which PEFT offers, leave about 1e-5.
  private static let largestAsymmetry = 1e-3

  /// Doubles the damping until the inverse in single precision is one.
  ///
  /// In single precision because PEFT judges it so: in double precision the inverse is right much sooner, and the
  /// factors would be those of another matrix. They themselves are then found in double precision.
  ///
  /// - Parameters:
  ///   - covariance: Square, of finite entries.
  ///   - module: Whose, for the error.
  /// - Throws: `InitialisationError.uselessCovariance` if it is not symmetric, or if no damping helps.
  init(_ covariance: borrowing Matrix<Float>, module: String) throws(InitialisationError) {
    let order = covariance.rowCount
    let (covariance, asymmetry) = Self.symmetric(covariance)
    guard asymmetry <= Self.largestAsymmetry else {
      throw .uselessCovariance(
        module: module, problem: "is not symmetric (its transpose is \(Float(asymmetry)) of its norm away)")
    }
    let mean = Float((0..<order).reduce(0) { $0 + Double(covariance.matrix[$1, $1]) } / Double(max(1, order)))
    guard mean > 0 else {
      throw .uselessCovariance(module: module, problem: "has a diagonal with the mean \(mean)")
    }
    var damping = Self.firstDamping
    while !Self.isInvertible(covariance.matrix, shift: mean * damping) {
      guard damping < 1e6 else {
        throw .uselessCovariance(
          module: module, problem: "has no inverse however much is added to its diagonal")
      }
      damping *= 2
    }
    matrix = covariance.matrix.shifted(by: mean * damping).widened()
    self.damping = Double(damping)
  }

  /// (C + Cᵀ) / 2, and ‖C − Cᵀ‖_F / ‖C‖_F: the factors are found from one triangle, and must not depend on which.
  private static func symmetric(_ covariance: borrowing Matrix<Float>) -> (SharedMatrix<Float>, Double) {
    let result = covariance.firstRows(covariance.rowCount)
    var energy = 0.0
    for row in 0..<covariance.rowCount {
      for column in 0..<row {
        let (lower, upper) = (Double(covariance[row, column]), Double(covariance[column, row]))
        energy += 2 * (lower - upper) * (lower - upper)
        result.view.row(row)[column] = Float((lower + upper) / 2)
        result.view.row(column)[row] = Float((lower + upper) / 2)
      }
    }
    let norm = covariance.sumOfSquares()
    return (SharedMatrix(result), norm > 0 ? (energy / norm).squareRoot() : 0)
  }

  private static func isInvertible(_ covariance: borrowing Matrix<Float>, shift: Float) -> Bool {
    covariance.shifted(by: shift).inverseError().map { $0 < largestError } ?? false
  }
}

extension FactorPair {
  /// CorDA: √σ on each side of some triplets of W·C, whose right side is taken back by C⁻¹.
  ///
  /// - Parameters:
  ///   - weight: W, out × in.
  ///   - covariance: C before damping, in × in, of finite entries.
  ///   - mode: Whether the first or the last triplets.
  ///   - rank: How many.
  ///   - module: Whose, for the error.
  /// - Throws: `InitialisationError.uselessCovariance` if no damping makes C invertible, `LAPACKError` if the SVD fails.
  public init(
    weightedOf weight: borrowing Matrix<Float>, by covariance: borrowing Matrix<Float>, mode: CorDAMode,
    rank: Int, module: String
  ) throws {
    let covariance = try DampedCovariance(covariance, module: module)
    guard let factor = Cholesky(lowerTriangle: covariance.matrix) else {
      throw InitialisationError.uselessCovariance(
        module: module, problem: "is not positive definite: no sum of squares of inputs is like that")
    }
    let svd = try DoubleSVD(of: product(weight.widened(), covariance.matrix))
    let chosen = mode == .ipm ? 0..<rank : svd.s.count - rank..<svd.s.count
    let columns = svd.vh.selectingRows(Array(chosen)).transposed()
    factor.solve(columns.view)
    self.init(
      splitting: Array(svd.s[chosen]), u: svd.u.copyingColumns(chosen), v: columns.transposed(), rank: rank,
      damping: covariance.damping)
  }
}

extension Matrix where Element == Float {
  /// A + shift·I.
  fileprivate borrowing func shifted(by shift: Float) -> Matrix {
    let result = Matrix(uninitializedRows: rowCount, columns: columnCount)
    result.view.copy(from: view)
    for index in 0..<rowCount { result.view.row(index)[index] += shift }
    return result
  }

  /// ‖A·A⁻¹ − I‖_F in single precision; nil if there is no inverse.
  fileprivate borrowing func inverseError() -> Double? {
    guard let inverse = inverse() else { return nil }
    let product = Matrix(uninitializedRows: rowCount, columns: rowCount)
    multiply(view, inverse.view, into: product.view)
    for index in 0..<rowCount { product.view.row(index)[index] -= 1 }
    return product.sumOfSquares().squareRoot()
  }
}
