public import LinearAlgebra

/// A sum of weighted rank-one terms: what a canonical polyadic decomposition finds.
///
/// Field names: Kolda and Bader, *Tensor Decompositions and Applications* (SIAM Review 2009).
public struct KruskalTensor: Sendable {
  /// One a component.
  public let weights: [Double]
  /// One a mode, components × length: row r is component r's vector.
  public let factors: [SharedMatrix<Double>]

  /// Puts weights and vectors together; vectors may have any length.
  public init(weights: [Double], factors: [SharedMatrix<Double>]) {
    precondition(
      factors.count >= 2 && factors.allSatisfy { $0.rowCount == weights.count },
      "every mode has one vector a component")
    self.weights = weights
    self.factors = factors
  }

  /// The number of components.
  public var rank: Int { weights.count }
  /// The number of entries of each mode.
  public var shape: [Int] { factors.map(\.columnCount) }

  /// The same tensor in its one normal form.
  ///
  /// Vectors have length 1, weights are positive and descend. The entry of largest magnitude of each vector, the
  /// first of equals, is positive in all modes but mode 0, whose vector carries the sign of the component. A
  /// component of weight zero keeps whatever directions it has.
  public func normalized() -> KruskalTensor {
    var sizes = weights.map(abs)
    var firstSigns = weights.map { $0 < 0 ? -1.0 : 1.0 }
    var scales: [[Double]] = []
    for (mode, factor) in factors.enumerated() {
      let norms = factor.matrix.rowNorms()
      let signs = mode == 0 ? norms.map { _ in 1 } : factor.matrix.signsOfLargest()
      for component in 0..<rank {
        sizes[component] *= norms[component]
        firstSigns[component] *= signs[component]
      }
      scales.append(zip(norms, signs).map { $0 > 0 ? $1 / $0 : 0 })
    }
    scales[0] = zip(scales[0], firstSigns).map { $0 * $1 }
    let order = (0..<rank).sorted { (-sizes[$0], $0) < (-sizes[$1], $1) }
    return KruskalTensor(
      weights: order.map { sizes[$0] },
      factors: zip(factors, scales).map { factor, scale in
        SharedMatrix(factor.matrix.selectingRows(order).scalingRows(by: order.map { scale[$0] }))
      })
  }

  /// Some of the components, in the order given.
  public func selecting(_ components: [Int]) -> KruskalTensor {
    KruskalTensor(
      weights: components.map { weights[$0] },
      factors: factors.map { SharedMatrix($0.matrix.selectingRows(components)) })
  }

  /// The components of a core in the coordinates of the tensor that the core was made of: Cₙ·Uₙ in every mode.
  ///
  /// Orthonormal bases change no length and no angle, hence neither weights nor congruences.
  public func expanded(through bases: [SharedMatrix<Double>?]) -> KruskalTensor {
    precondition(bases.count == factors.count, "one basis a mode")
    return KruskalTensor(
      weights: weights,
      factors: zip(factors, bases).map { factor, basis in
        basis.map { SharedMatrix(product(factor.matrix, $0.matrix)) } ?? factor
      })
  }

  /// All entries of the sum.
  public func reconstructed() -> DenseTensor {
    let shape = shape
    let middle = balancedSplit(shape)
    let left = khatriRao(Array(factors[..<middle]), count: rank).scalingRows(by: weights)
    let right = khatriRao(Array(factors[middle...]), count: rank)
    let result = Matrix<Double>(uninitializedRows: left.columnCount, columns: right.columnCount)
    multiply(left.view.transposed, right.view, into: result.view)
    return DenseTensor(result, shape: shape)
  }

  /// ‖X − X̂‖², summed over the differences.
  public func residual(of tensor: DenseTensor) -> Double { tensor.squaredDistance(to: reconstructed()) }

  /// Inner products of the terms without their weights.
  ///
  /// They are cosines multiplied over the modes, if vectors have length 1. An entry near −1 is a pair that cancels.
  public func congruences() -> Matrix<Double> {
    hadamard(factors.map { SharedMatrix(rowProducts($0.matrix, $0.matrix)) }, count: rank)
  }

  /// ‖X̂‖².
  public var squaredNorm: Double {
    let congruences = congruences()
    var sum = 0.0
    for row in 0..<rank {
      for column in 0..<rank { sum += weights[row] * weights[column] * congruences[row, column] }
    }
    // A NaN is no energy of zero.
    return sum < 0 ? 0 : sum
  }

  /// Runs of components whose weights differ so little from one to the next that single ones may mean nothing.
  ///
  /// - Parameter gap: Relative distance of neighbouring weights from which they count as different.
  /// - Returns: Ranges of components, in order; each component in one.
  public func blocks(gap: Double = 0.02) -> [Range<Int>] {
    var blocks: [Range<Int>] = []
    for component in 0..<rank {
      if let last = blocks.last, weights[component - 1] - weights[component] <= gap * weights[component - 1] {
        blocks[blocks.count - 1] = last.lowerBound..<component + 1
      } else {
        blocks.append(component..<component + 1)
      }
    }
    return blocks
  }
}
