/// A matrix seen from its shorter side: the two products that Krylov and Gram methods are made of.
///
/// With A m × n, s = min(m, n) and l = max(m, n), let B be A or Aᵀ so that B is l × s. Vectors are rows:
/// a block of b vectors is b × s on the short side and b × l on the long one. Every product goes panel by
/// panel over the long side, so each entry of A is read once however A lies.
struct ShortSideOperator {
  private let matrix: MatrixView<Float>
  /// True if A is wide, so that its rows are the short side.
  let isWide: Bool
  var shortLength: Int { isWide ? matrix.rowCount : matrix.columnCount }
  var longLength: Int { isWide ? matrix.columnCount : matrix.rowCount }

  /// Rows of a panel: its product with the block is used again while the panel is still in the cache.
  private static let panelLength = 256

  init(_ matrix: MatrixView<Float>) {
    self.matrix = matrix
    isWide = matrix.columnCount > matrix.rowCount
  }

  /// X·Bᵀ: the images of short vectors, b × l.
  func apply(_ vectors: MatrixView<Float>, into images: MatrixView<Float>) {
    forEachPanel { range, panel in multiplyTowardsLong(vectors, panel, into: images.columns(range)) }
  }

  /// X·Bᵀ·B: one step of the power method on BᵀB, b × s, with one read of A.
  func applyGram(_ vectors: MatrixView<Float>, into result: MatrixView<Float>) {
    let scratch = Matrix<Float>(uninitializedRows: vectors.rowCount, columns: Self.panelLength)
    result.fill(0)
    forEachPanel { range, panel in
      let images = scratch.view.columns(0..<range.count)
      multiplyTowardsLong(vectors, panel, into: images)
      if isWide {
        multiply(images, panel.transposed, into: result, beta: 1)
      } else {
        multiply(images, panel, into: result, beta: 1)
      }
    }
  }

  /// BᵀB in double precision, s × s, lower triangle.
  func gram() -> Matrix<Double> { isWide ? gramMatrix(matrix) : gramMatrix(matrix.transposed) }

  private func multiplyTowardsLong(
    _ vectors: MatrixView<Float>, _ panel: MatrixView<Float>, into images: MatrixView<Float>
  ) {
    if isWide {
      multiply(vectors, panel, into: images)
    } else {
      multiply(vectors, panel.transposed, into: images)
    }
  }

  private func forEachPanel(_ body: (Range<Int>, MatrixView<Float>) -> Void) {
    for start in stride(from: 0, to: longLength, by: Self.panelLength) {
      let range = start..<min(start + Self.panelLength, longLength)
      body(range, isWide ? matrix.columns(range) : matrix.rows(range))
    }
  }
}
