/// An orthonormal basis that grows by blocks, and the operator's projection onto it.
struct KrylovBasis: ~Copyable {
  let vectorLength: Int
  /// Vectors in the basis.
  private(set) var count: Int
  private(set) var blockCount = 0
  private let blockLength: Int
  private let random: CounterRandom
  /// Basis vectors as rows; only the first `count` are meaningful.
  private let vectors: Matrix<Float>
  /// T = Q·BᵀB·Qᵀ, of which the lower triangle is filled as far as images have been recorded.
  private let projection: Matrix<Double>
  private var newestRange: Range<Int>

  /// Far more than any tolerance above rounding has needed; memory is taken only as blocks arrive.
  private static let largestBlockCount = 48

  init(vectorLength: Int, blockLength: Int, random: CounterRandom) {
    self.vectorLength = vectorLength
    self.blockLength = min(blockLength, vectorLength)
    self.random = random
    let capacity = min(vectorLength, Self.largestBlockCount * self.blockLength)
    vectors = Matrix(uninitializedRows: capacity, columns: vectorLength)
    projection = Matrix(uninitializedRows: capacity, columns: capacity)
    newestRange = 0..<self.blockLength
    count = 0
    let start = vectors.view.rows(newestRange)
    random.fillUniform(start, block: 0)
    orthonormalizeAgainstBasis(start)
    count = newestRange.upperBound
  }

  var newestBlock: MatrixView<Float> { vectors.view.rows(newestRange) }
  /// No room for a further block.
  var isFull: Bool { count == vectors.rowCount }
  /// The basis spans everything, so nothing is left to find.
  var isComplete: Bool { count == vectorLength }

  /// Files the image of the newest block under the operator as the next block row of T.
  mutating func recordProjection(of image: borrowing Matrix<Float>) {
    let coefficients = coefficients(of: image.view)
    for row in 0..<coefficients.rowCount {
      let entries = projection.view.row(newestRange.lowerBound + row)
      let narrow = coefficients.view.row(row)
      for column in 0..<count { entries[column] = Double(narrow[column]) }
    }
    blockCount += 1
  }

  /// The energy of the best rank k inside the basis: the k largest eigenvalues of T.
  func ritzEnergy(rank: Int) throws(LAPACKError) -> Double {
    try eigen(wantsVectors: false).values.prefix(rank).reversed().reduce(0, +)
  }

  /// The k leading Ritz vectors as orthonormal rows.
  func ritzVectors(rank: Int) throws(LAPACKError) -> Matrix<Float> {
    let eigen = try eigen(wantsVectors: true)
    let weights = Matrix<Float>(uninitializedRows: rank, columns: count)
    for row in 0..<rank {
      let (narrow, wide) = (weights.view.row(row), eigen.vectors.view.row(row))
      for column in 0..<count { narrow[column] = Float(wide[column]) }
    }
    let result = Matrix<Float>(uninitializedRows: rank, columns: vectorLength)
    multiply(weights.view, basisView, into: result.view)
    _ = orthonormalizeRows(result.view)
    return result
  }

  /// Appends the part of a block that the basis does not hold yet.
  ///
  /// Directions that turn out to be exhausted (a difference of low rank has few) are replaced by random ones.
  /// - Returns: False if nothing could be added.
  mutating func append(_ block: borrowing Matrix<Float>) -> Bool {
    let added = min(block.rowCount, blockLength, vectors.rowCount - count)
    guard added > 0 else { return false }
    newestRange = count..<count + added
    let target = vectors.view.rows(newestRange)
    target.copy(from: block.view.rows(0..<added))
    guard orthonormalizeAgainstBasis(target) else { return false }
    count += added
    return true
  }

  private var basisView: MatrixView<Float> { vectors.view.rows(0..<count) }

  private func eigen(wantsVectors: Bool) throws(LAPACKError) -> SymmetricEigen {
    let square = Matrix<Double>(uninitializedRows: count, columns: count)
    square.view.copy(from: projection.view.rows(0..<count).columns(0..<count))
    return try SymmetricEigen(lowerTriangle: square, wantsVectors: wantsVectors)
  }

  private func coefficients(of block: MatrixView<Float>) -> Matrix<Float> {
    let result = Matrix<Float>(uninitializedRows: block.rowCount, columns: count)
    multiply(block, basisView.transposed, into: result.view)
    return result
  }

  private func projectOut(_ block: MatrixView<Float>) {
    guard count > 0 else { return }
    let coefficients = coefficients(of: block)
    multiply(coefficients.view, basisView, into: block, alpha: -1, beta: 1)
  }

  /// (Project, QR) until a round has neither started from nor met a dependent row: two rounds, as a rule.
  @discardableResult
  private func orthonormalizeAgainstBasis(_ block: MatrixView<Float>) -> Bool {
    projectOut(block)
    var dependent = orthonormalizeRows(block)
    for round in 1...5 {
      let wereReplaced = dependent
      for row in wereReplaced {
        // Block 0 is the start; every later draw has a number of its own.
        let draw = (count / max(1, blockLength) + 1) * 8 + round
        random.fillUniform(block.rows(row..<row + 1), block: draw * vectorLength + row)
      }
      projectOut(block)
      dependent = orthonormalizeRows(block)
      if wereReplaced.isEmpty && dependent.isEmpty { return true }
    }
    return false
  }
}
