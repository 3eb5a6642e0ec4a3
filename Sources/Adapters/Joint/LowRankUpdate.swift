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

  /// ‖B·A‖_F², from the small inner products of both factors in double precision.
  package var energy: Double {
    let left = gramMatrix(b.matrix.view.transposed)
    let right = gramMatrix(a.matrix.view)
    var sum = 0.0
    for row in 0..<rank {
      for column in 0..<row { sum += 2 * left[row, column] * right[row, column] }
      sum += left[row, row] * right[row, row]
    }
    return max(0, sum)
  }

  /// ‖B·A − B'·A'‖_F², likewise: right to about 1e-15 of the larger energy.
  package func squaredDistance(to other: LowRankUpdate) -> Double {
    let rank = rank + other.rank
    let left = Matrix<Float>(uninitializedRows: b.rowCount, columns: rank)
    left.view.columns(0..<self.rank).copy(from: b.matrix.view)
    let rest = left.view.columns(self.rank..<rank)
    rest.copy(from: other.b.matrix.view)
    rest.scale(by: -1)
    let right = Matrix<Float>(uninitializedRows: rank, columns: a.columnCount)
    right.view.rows(0..<self.rank).copy(from: a.matrix.view)
    right.view.rows(self.rank..<rank).copy(from: other.a.matrix.view)
    return LowRankUpdate(b: left, a: right).energy
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
