package import LinearAlgebra

/// Components that cannot be told apart: each alone is one choice out of many, only all together mean something.
///
/// Directions of a basis are singular vectors. An error of variance v in every entry of a matrix turns the vectors of
/// singular values σᵢ > σⱼ into each other by an angle of about √(v·(σᵢ² + σⱼ²)) / (σᵢ² − σⱼ²). What the
/// decomposition left out is such an error: neighbours that an error of its size would turn by more than a tenth of a
/// radian, a hundredth of their energy, are one block. v is at least what single precision makes of the largest
/// singular value.
///
/// Rank-one components have no order to lose, but two of them that agree in all modes but two are a matrix there,
/// which can be cut into two components in any way. Vectors with |cosine| ≥ 0.99, the bound from which a record calls
/// components degenerate, agree.
package struct ComponentBlocks {
  /// The number of each component's block: that of its first member.
  package private(set) var first: [Int]

  /// Blocks of directions, given by their energies in descending order.
  ///
  /// - Parameters:
  ///   - energies: σ² of each.
  ///   - errorVariance: What was left out, per entry.
  package init(directions energies: [Double], errorVariance: Double) {
    first = Array(energies.indices)
    let variance = max(errorVariance, (energies.max() ?? 0) * singlePrecision * singlePrecision)
    for (index, (one, next)) in zip(energies, energies.dropFirst()).enumerated() {
      let gap = one - next
      if variance * (one + next) >= largestTurn * largestTurn * gap * gap { first[index + 1] = first[index] }
    }
  }

  /// Blocks of rank-one components.
  ///
  /// - Parameter modes: The vectors of each mode of more than one entry as columns.
  package init(components modes: [SharedMatrix<Float>]) {
    let count = modes.first?.columnCount ?? 0
    first = Array(0..<count)
    let cosines = modes.map { SharedMatrix(gramMatrix($0.matrix.view.transposed)) }
    for index in 0..<count {
      for earlier in 0..<index {
        let agreeing = cosines.count { abs($0.matrix[index, earlier]) >= agreement }
        if agreeing >= modes.count - 2 { merge(index, earlier) }
      }
    }
  }

  private mutating func merge(_ one: Int, _ other: Int) {
    let (kept, given) = (min(first[one], first[other]), max(first[one], first[other]))
    for index in first.indices where first[index] == given { first[index] = kept }
  }
}

/// In radians.
private let largestTurn = 0.1
private let singlePrecision = 0x1p-22
private let agreement = 0.99
