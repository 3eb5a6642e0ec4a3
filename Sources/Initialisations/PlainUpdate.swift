public import LinearAlgebra

/// What training changed about a weight, from the factors before and after it: scale · (B·A − B₀·A₀).
///
/// The original weight is the residual plus the first product, the trained one the residual plus the second: their
/// difference needs neither.
public struct PlainUpdate: ~Copyable {
  /// [B, −B₀], out × both ranks.
  public let b: Matrix<Float>
  /// [A; A₀], both ranks × in.
  public let a: Matrix<Float>

  /// Stacks the factors as PEFT does; nothing is rounded.
  public init(
    a: borrowing Matrix<Float>, b: borrowing Matrix<Float>, initialA: borrowing Matrix<Float>,
    initialB: borrowing Matrix<Float>
  ) {
    let (rank, initialRank) = (a.rowCount, initialA.rowCount)
    let stackedA = Matrix<Float>(uninitializedRows: rank + initialRank, columns: a.columnCount)
    stackedA.view.rows(0..<rank).copy(from: a.view)
    stackedA.view.rows(rank..<rank + initialRank).copy(from: initialA.view)
    let stackedB = Matrix<Float>(uninitializedRows: b.rowCount, columns: rank + initialRank)
    stackedB.view.columns(0..<rank).copy(from: b.view)
    let rest = stackedB.view.columns(rank..<rank + initialRank)
    rest.copy(from: initialB.view)
    rest.scale(by: -1)
    self.a = stackedA
    self.b = stackedB
  }

  /// The best update of a rank, √σ on each side, with the singular values that it leaves out.
  ///
  /// In double precision: both products are large beside what training changed, and their difference would lose those
  /// digits in single precision.
  public func truncated(to rank: Int) throws -> (factors: SharedFactors, dropped: [Double]) {
    let svd = try ProductSVD(b.widened(), a.widened())
    let kept = min(rank, svd.s.count)
    let roots = svd.s.prefix(kept).map { $0.squareRoot() }
    let factors = SharedFactors(
      b: svd.left.selectingRows(Array(0..<kept)).scalingRows(by: roots).transposed(),
      a: svd.right.selectingRows(Array(0..<kept)).scalingRows(by: roots),
      energy: svd.s.prefix(kept).reduce(0) { $0 + $1 * $1 })
    return (factors, Array(svd.s.dropFirst(kept)))
  }

  /// Two factors in double precision.
  public struct SharedFactors: Sendable {
    /// B, out × rank.
    public let b: SharedMatrix<Double>
    /// A, rank × in.
    public let a: SharedMatrix<Double>
    /// ‖B·A‖_F².
    public let energy: Double

    init(b: consuming Matrix<Double>, a: consuming Matrix<Double>, energy: Double) {
      self.energy = energy
      self.b = SharedMatrix(b)
      self.a = SharedMatrix(a)
    }
  }
}
