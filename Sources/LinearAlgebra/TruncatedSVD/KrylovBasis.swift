/// An orthonormal basis that grows by blocks, and the operator's projection onto it.
///
/// In exact arithmetic the image of a block lies in the span of the block before it, itself and the one after it:
/// T = Q·G·Qᵀ is block tridiagonal. Only those parts of T are kept, and a new block is first freed from its two
/// neighbours alone; one projection against the whole basis then removes what rounding has left of the others.
/// (Block Lanczos with full reorthogonalisation: Golub and Underwood, 1977.)
package struct KrylovBasis: ~Copyable {
  package let vectorLength: Int
  /// Vectors in the basis.
  package private(set) var count: Int
  package private(set) var blockCount = 0
  private let blockLength: Int
  private let random: CounterRandom
  /// Basis vectors as rows; only the first `count` are meaningful.
  private let vectors: Matrix<Float>
  /// For each vector whose image is known, its row of T from the first column that may differ from zero.
  private var projection: [(start: Int, entries: [Double])] = []
  private var newestRange: Range<Int>
  private var previousStart = 0

  /// Far more than any tolerance above rounding has needed; memory is taken only as blocks arrive.
  private static let largestBlockCount = 48

  package init(vectorLength: Int, blockLength: Int, random: CounterRandom) {
    self.vectorLength = vectorLength
    self.blockLength = min(blockLength, vectorLength)
    self.random = random
    let capacity = min(vectorLength, Self.largestBlockCount * self.blockLength)
    vectors = Matrix(uninitializedRows: capacity, columns: vectorLength)
    newestRange = 0..<self.blockLength
    count = 0
    let start = vectors.view.rows(newestRange)
    random.fillUniform(start, block: 0)
    _ = orthonormalizeProjected(start)
    count = newestRange.upperBound
  }

  package var newestBlock: MatrixView<Float> { vectors.view.rows(newestRange) }
  /// No room for a further block.
  package var isFull: Bool { count == vectors.rowCount }
  /// The basis spans everything, so nothing is left to find.
  package var isComplete: Bool { count == vectorLength }

  /// The energy of the best rank k inside the basis: the k largest eigenvalues of T.
  package func ritzEnergy(rank: Int) throws(LAPACKError) -> Double {
    let eigen = try SymmetricEigen(lowerTriangle: lowerTriangle(), wantsVectors: false)
    return eigen.values.prefix(rank).reversed().reduce(0, +)
  }

  /// The k leading Ritz vectors as orthonormal rows.
  package func ritzVectors(rank: Int) throws(LAPACKError) -> Matrix<Float> {
    let eigen = try SymmetricEigen(lowerTriangle: lowerTriangle(), leading: rank)
    // Named, since a view does not keep a temporary matrix alive.
    let weights = eigen.vectors.narrowed(rows: rank)
    let result = Matrix<Float>(uninitializedRows: rank, columns: vectorLength)
    multiply(weights.view, vectors.view.rows(0..<count), into: result.view)
    _ = orthonormalizeRows(result.view)
    return result
  }

  /// Takes the image of the newest block under the operator: its rows of T, and the part of it that is new.
  ///
  /// - Parameter image: b × s; left with its projection on the newest two blocks removed.
  package mutating func take(image: borrowing Matrix<Float>) {
    let neighbours = vectors.view.rows(previousStart..<count)
    let coefficients = Matrix<Float>(uninitializedRows: image.rowCount, columns: neighbours.rowCount)
    multiply(image.view, neighbours.transposed, into: coefficients.view)
    for row in 0..<coefficients.rowCount {
      projection.append((previousStart, coefficients.view.row(row).map(Double.init)))
    }
    multiply(coefficients.view, neighbours, into: image.view, alpha: -1, beta: 1)
    blockCount += 1
  }

  /// Appends the part of a taken image that the basis does not hold yet.
  ///
  /// Directions that turn out to be exhausted (a difference of low rank has few) are replaced by random ones.
  /// - Returns: False if nothing could be added.
  package mutating func append(_ image: borrowing Matrix<Float>) -> Bool {
    let added = min(image.rowCount, blockLength, vectors.rowCount - count)
    guard added > 0 else { return false }
    let target = vectors.view.rows(count..<count + added)
    target.copy(from: image.view.rows(0..<added))
    guard orthonormalizeProjected(target) else { return false }
    previousStart = newestRange.lowerBound
    newestRange = count..<count + added
    count += added
    return true
  }

  /// T as far as it is known, full size; only the lower triangle is filled.
  private func lowerTriangle() -> Matrix<Double> {
    let square = Matrix<Double>(repeating: 0, rows: count, columns: count)
    for (row, known) in projection.enumerated() {
      let entries = square.view.row(row)
      for column in known.start..<row + 1 { entries[column] = known.entries[column - known.start] }
    }
    return square
  }

  private func projectOut(_ block: MatrixView<Float>) {
    guard count > 0 else { return }
    let basis = vectors.view.rows(0..<count)
    let coefficients = Matrix<Float>(uninitializedRows: block.rowCount, columns: count)
    multiply(block, basis.transposed, into: coefficients.view)
    multiply(coefficients.view, basis, into: block, alpha: -1, beta: 1)
  }

  /// (Project, QR) until a round has neither met a dependent row nor taken much of any: two rounds, as a rule.
  ///
  /// The block comes with the first projection done, as far as it holds more than rounding. Where the space is
  /// exhausted it holds nothing else: the first QR then makes unit vectors of what rounding leaked from the basis,
  /// the next projection takes almost all of them, and only one more makes the rest orthogonal ("twice is
  /// enough": Kahan and Parlett; Giraud, Langou, Rozložník and van den Eshof, 2005).
  private func orthonormalizeProjected(_ block: MatrixView<Float>) -> Bool {
    var dependent = orthonormalizeRows(block)
    for round in 1...5 {
      let wereReplaced = dependent
      for row in wereReplaced {
        // Block 0 is the start; every later draw has a number of its own.
        let draw = (count / max(1, blockLength) + 1) * 8 + round
        random.fillUniform(block.rows(row..<row + 1), block: draw * vectorLength + row)
      }
      projectOut(block)
      // Rows had unit length before: a random one is longer, and was replaced.
      let keepsMost = (0..<block.rowCount).allSatisfy { block.rows($0..<$0 + 1).sumOfSquares() >= 0.25 }
      dependent = orthonormalizeRows(block)
      if wereReplaced.isEmpty && dependent.isEmpty && keepsMost { return true }
    }
    return false
  }
}
