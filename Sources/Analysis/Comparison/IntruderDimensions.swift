public import LinearAlgebra

/// Leading directions of a fine-tune's outputs that its base does not have (Shuttleworth et al., arXiv 2410.21228).
///
/// A left singular vector of the tuned matrix is an intruder if no left singular vector of the base is near it: if all
/// cosines stay below a limit. Vectors of nearly equal singular values may turn into each other, in either matrix.
public struct IntruderDimensions: Sendable, Codable, Equatable {
  /// The leading directions of the tuned matrix, by descending singular value.
  public let directions: [Direction]

  /// A left singular vector of the tuned matrix.
  public struct Direction: Sendable, Codable, Equatable {
    /// Its singular value.
    public let singularValue: Double
    /// The largest |cosine| with any left singular vector of the base.
    public let largestCosine: Double
  }

  /// The number of directions whose cosines all stay below a limit.
  public func count(below limit: Double) -> Int { directions.count { $0.largestCosine < limit } }

  /// Base directions of smaller singular values than that, relative to the largest, are rounding.
  private static let smallestRatio = 1e-6

  /// Compares the leading directions of a matrix with all of its base's.
  ///
  /// - Parameters:
  ///   - tuned: Outputs × inputs.
  ///   - base: Likewise.
  ///   - count: Leading directions, at most the shorter side.
  /// - Throws: `LAPACKError` if a factorisation does not converge.
  public init(
    of tuned: borrowing Matrix<Float>, against base: borrowing Matrix<Float>, count: Int
  ) throws(LAPACKError) {
    let count = min(count, min(tuned.rowCount, tuned.columnCount))
    directions =
      tuned.rowCount <= tuned.columnCount
      ? try Self.ofFewOutputs(tuned, base, count) : try Self.ofManyOutputs(tuned, base, count)
  }

  private static func ofFewOutputs(
    _ tuned: borrowing Matrix<Float>, _ base: borrowing Matrix<Float>, _ count: Int
  ) throws(LAPACKError) -> [Direction] {
    let leading = try SymmetricEigen(lowerTriangle: gramMatrix(tuned.view), leading: count)
    let all = try SymmetricEigen(lowerTriangle: gramMatrix(base.view), wantsVectors: true)
    let cosines = Matrix<Double>(uninitializedRows: count, columns: base.rowCount)
    multiply(leading.vectors.view.rows(0..<count), all.vectors.view.transposed, into: cosines.view)
    return directions(energies: leading.values, cosines)
  }

  /// The many outputs' vectors are never formed: u·u₀ = uᵀ·W₀·v₀ / σ₀.
  private static func ofManyOutputs(
    _ tuned: borrowing Matrix<Float>, _ base: borrowing Matrix<Float>, _ count: Int
  ) throws(LAPACKError) -> [Direction] {
    let leading = try SymmetricEigen(lowerTriangle: gramMatrix(tuned.view.transposed), leading: count)
    let all = try SymmetricEigen(lowerTriangle: gramMatrix(base.view.transposed), wantsVectors: true)
    let lengths = leading.values.prefix(count).map { max(0, $0).squareRoot() }
    let images = transposedImages(of: leading.vectors, lengths: lengths, tuned: tuned, base: base)
    let cosines = rowProducts(images, all.vectors)
    let least = smallestRatio * smallestRatio * (all.values.first ?? 0)
    for (column, energy) in all.values.enumerated() {
      let factor = energy > least ? 1 / energy.squareRoot() : 0
      for row in 0..<count { cosines.view.row(row)[column] *= factor }
    }
    return directions(energies: leading.values, cosines)
  }

  private static func directions(energies: [Double], _ cosines: borrowing Matrix<Double>) -> [Direction] {
    (0..<cosines.rowCount).map { row in
      let largest = cosines.view.row(row).reduce(0) { max($0, abs($1)) }
      return Direction(singularValue: max(0, energies[row]).squareRoot(), largestCosine: min(1, largest))
    }
  }
}

/// uᵀ·W₀ for the left singular vectors u = W·v / σ of given right ones, in double precision by blocks of rows.
private func transposedImages(
  of vectors: borrowing Matrix<Double>, lengths: [Double], tuned: borrowing Matrix<Float>,
  base: borrowing Matrix<Float>
) -> Matrix<Double> {
  let count = lengths.count
  let images = Matrix<Double>(repeating: 0, rows: count, columns: base.columnCount)
  let blockLength = 512
  for start in stride(from: 0, to: tuned.rowCount, by: blockLength) {
    let rows = start..<min(start + blockLength, tuned.rowCount)
    let left = Matrix<Double>(uninitializedRows: count, columns: rows.count)
    let new = widened(tuned.view.rows(rows))
    let old = widened(base.view.rows(rows))
    multiply(vectors.view.rows(0..<count), new.view.transposed, into: left.view)
    for (row, length) in lengths.enumerated() { left.view.scaleRow(row, by: length > 0 ? 1 / length : 0) }
    multiply(left.view, old.view, into: images.view, beta: 1)
  }
  return images
}

private func widened(_ block: MatrixView<Float>) -> Matrix<Double> {
  let result = Matrix<Double>(uninitializedRows: block.rowCount, columns: block.columnCount)
  for row in 0..<block.rowCount {
    let (wide, narrow) = (result.view.row(row), block.row(row))
    for column in narrow.indices { wide[column] = Double(narrow[column]) }
  }
  return result
}
