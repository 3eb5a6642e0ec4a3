internal import LinearAlgebra

/// The updates that round to the stored values: for each entry of the difference an interval.
///
/// Whether a matrix of some rank lies in it is found by alternating projections onto the box and onto the matrices of that
/// rank: the distance goes to zero where there is one, and stays where there is none.
struct RoundingBox: ~Copyable {
  /// The difference, at least as high as wide.
  private let centre: Matrix<Float>
  private let halfWidths: Matrix<Float>
  private let size: Double

  private static let stepLimit = 60
  /// Distance from the box, relative to its size, that counts as none.
  private static let tolerance = 0.004
  /// Steps after which a distance that goes to zero has clearly gone on since half of them.
  private static let trialLength = 10
  private static let leastProgress = 0.8

  init(delta: borrowing Matrix<Float>, tuned: borrowing Matrix<Float>, rounding: StoredRounding) {
    let widths = Matrix<Float>(uninitializedRows: delta.rowCount, columns: delta.columnCount)
    for row in 0..<delta.rowCount {
      let (change, stored, width) = (delta.view.row(row), tuned.view.row(row), widths.view.row(row))
      for column in change.indices {
        width[column] = rounding.halfWidth(stored: stored[column], change: change[column])
      }
    }
    size = widths.sumOfSquares().squareRoot()
    if delta.rowCount >= delta.columnCount {
      centre = Matrix(uninitializedRows: delta.rowCount, columns: delta.columnCount)
      centre.view.copy(from: delta.view)
      halfWidths = widths
    } else {
      centre = delta.transposed()
      halfWidths = widths.transposed()
    }
  }

  /// The first of some ranks, in ascending order, of which a matrix lies in the box; nil if none does.
  func smallestRank(among ranks: [Int]) throws(LAPACKError) -> Int? {
    guard let largest = ranks.last else { return nil }
    let eigen = try SymmetricEigen(lowerTriangle: gramMatrix(centre.view.transposed), leading: largest)
    let vectors = Matrix<Float>(uninitializedRows: largest, columns: centre.columnCount)
    for row in 0..<largest {
      let (narrow, wide) = (vectors.view.row(row), eigen.vectors.view.row(row))
      for column in wide.indices { narrow[column] = Float(wide[column]) }
    }
    return ranks.first { holds(rank: $0, startingFrom: vectors.firstRows($0)) }
  }

  /// Whether a matrix of a rank lies in the box, from right singular vectors of the difference.
  private func holds(rank: Int, startingFrom vectors: consuming Matrix<Float>) -> Bool {
    let inside = Matrix<Float>(uninitializedRows: centre.rowCount, columns: centre.columnCount)
    let approximation = Matrix<Float>(uninitializedRows: centre.rowCount, columns: centre.columnCount)
    let left = Matrix<Float>(uninitializedRows: centre.rowCount, columns: rank)
    inside.view.copy(from: centre.view)
    var distances: [Double] = []
    while distances.count < Self.stepLimit {
      // A step of subspace iteration is enough: the matrix hardly moves from one to the next.
      multiply(inside.view, vectors.view.transposed, into: left.view)
      multiply(left.view.transposed, inside.view, into: vectors.view)
      _ = orthonormalizeRows(vectors.view)
      _ = orthonormalizeRows(vectors.view)
      multiply(inside.view, vectors.view.transposed, into: left.view)
      multiply(left.view, vectors.view, into: approximation.view)
      let distance = moveIntoBox(approximation, to: inside) / size
      distances.append(distance)
      if distance < Self.tolerance { return true }
      if distances.count == Self.trialLength,
        distance > Self.leastProgress * distances[Self.trialLength / 2 - 1]
      {
        return false
      }
    }
    return false
  }

  /// The nearest matrix in the box; returns how far it is.
  private func moveIntoBox(_ source: borrowing Matrix<Float>, to target: borrowing Matrix<Float>) -> Double {
    var sum = 0.0
    for row in 0..<centre.rowCount {
      let (from, to) = (source.view.row(row), target.view.row(row))
      let (middle, width) = (centre.view.row(row), halfWidths.view.row(row))
      for column in from.indices {
        let offset = from[column] - middle[column]
        let kept = max(-width[column], min(width[column], offset))
        to[column] = middle[column] + kept
        let excess = Double(offset - kept)
        sum += excess * excess
      }
    }
    return sum.squareRoot()
  }
}
