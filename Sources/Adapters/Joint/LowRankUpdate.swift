package import LinearAlgebra
internal import WeightSources

/// A module's update as a product B·A that is never formed.
package struct LowRankUpdate: Sendable {
  /// B, out × rank.
  package let b: SharedMatrix<Float>
  /// A, rank × in.
  package let a: SharedMatrix<Float>

  /// The number of rows of A.
  package var rank: Int { a.rowCount }

  /// Takes over two factors.
  package init(b: consuming Matrix<Float>, a: consuming Matrix<Float>) {
    precondition(b.columnCount == a.rowCount, "the factors do not fit")
    self.b = SharedMatrix(b)
    self.a = SharedMatrix(a)
  }

  /// Two factors that others may hold, too.
  package init(b: SharedMatrix<Float>, a: SharedMatrix<Float>) {
    precondition(b.columnCount == a.rowCount, "the factors do not fit")
    self.b = b
    self.a = a
  }

  /// ‖B·A‖_F².
  package var energy: Double {
    energyOfProducts([Double](repeating: 1, count: rank), b.matrix.transposed(), a.matrix)
  }

  /// ‖B·A − B'·A'‖_F², right to about 1e-15 of the larger energy.
  package func squaredDistance(to other: LowRankUpdate) -> Double {
    let signs = [Double](repeating: 1, count: rank) + [Double](repeating: -1, count: other.rank)
    return energyOfProducts(
      signs, stacked(b.matrix.transposed(), other.b.matrix.transposed()),
      stacked(a.matrix, other.a.matrix))
  }

  /// The best update of a smaller rank, √σ on each side.
  package func truncated(to rank: Int) throws -> LowRankUpdate {
    let svd = try ProductSVD(b.matrix, a.matrix)
    let kept = Array(0..<min(rank, svd.s.count))
    let roots = kept.map { svd.s[$0].squareRoot() }
    let left = svd.left.selectingRows(kept).scalingRows(by: roots)
    let right = svd.right.selectingRows(kept).scalingRows(by: roots)
    return LowRankUpdate(
      b: left.narrowed(rows: kept.count).transposed(), a: right.narrowed(rows: kept.count))
  }

  /// The update as it comes back from a file of another type.
  package func rounded(to type: FactorType) -> LowRankUpdate {
    LowRankUpdate(
      b: type.elementType.decode(type.elementType.encode(b.matrix), rows: b.rowCount, columns: rank),
      a: type.elementType.decode(type.elementType.encode(a.matrix), rows: rank, columns: a.columnCount))
  }

  /// Moves a power of two from one factor to the other, so that both have like magnitudes and no type's range is
  /// left; no digit changes.
  func balanced() -> LowRankUpdate {
    let (left, right) = (b.matrix.sumOfSquares(), a.matrix.sumOfSquares())
    guard left > 0, right > 0 else { return self }
    let exponent = Int((right / left).squareRoot().squareRoot().exponent)
    let newB = b.matrix.firstRows(b.rowCount)
    let newA = a.matrix.firstRows(a.rowCount)
    newB.view.scale(by: Double(sign: .plus, exponent: exponent, significand: 1))
    newA.view.scale(by: Double(sign: .plus, exponent: -exponent, significand: 1))
    return LowRankUpdate(b: newB, a: newA)
  }
}
