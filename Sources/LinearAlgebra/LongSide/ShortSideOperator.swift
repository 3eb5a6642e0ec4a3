/// A matrix seen from its shorter side: the products that Krylov and Gram methods are made of.
///
/// With A m × n, s = min(m, n) and l = max(m, n), let B be A or Aᵀ so that B is l × s. Vectors are rows: a block
/// of b vectors is b × s on the short side and b × l on the long one, of which this rank holds its share. Every
/// product goes panel by panel over the long side, so each entry of A is read once however A lies.
struct ShortSideOperator {
  private let part: MatrixView<Float>
  let share: LongSideShare
  var isWide: Bool { share.units.isWide }
  var shortLength: Int { share.units.shortLength }
  /// Length of this rank's share of the long side.
  var localLength: Int { share.localRange.count }

  /// Long indices of a panel, whose product with the block is used again while the panel is still in the cache.
  ///
  /// Rows of a tall matrix are read from end to end; of a wide one, two kilobytes of each row at a time.
  private var panelLength: Int { isWide ? 512 : 96 }

  /// A matrix of which this rank holds a share, rows of a tall one or columns of a wide one.
  init(_ part: MatrixView<Float>, share: LongSideShare) {
    precondition(
      part.rowCount == share.localRowCount && part.columnCount == share.localColumnCount,
      "the part of the matrix is not this rank's share")
    self.part = part
    self.share = share
  }

  /// X·Bᵀ: the images of short vectors, b × l, of which this rank gets its share of the columns.
  func apply(_ vectors: MatrixView<Float>, into images: MatrixView<Float>) {
    let columns = blockColumns(of: vectors)
    share.forEachUnit { offsets in
      let columnImages = Matrix<Float>(uninitializedRows: panelLength, columns: columns.columnCount)
      forEachPanel(of: offsets) { range, panel in
        let panelImages = columnImages.view.rows(0..<range.count)
        fillImages(of: columns.view, under: panel, panelImages)
        panelImages.columns(0..<vectors.rowCount).transpose(into: images.columns(range))
      }
    }
  }

  /// X·Bᵀ·B: one step of the power method on BᵀB, b × s on every rank, with one read of A.
  func applyGram(_ vectors: MatrixView<Float>) -> Matrix<Float> {
    let columns = blockColumns(of: vectors)
    let block = columns.columnCount
    let (rows, columnCount) = isWide ? (shortLength, block) : (block, shortLength)
    let sum: Matrix<Float> = share.sum(rows: rows, columns: columnCount) {
      offsets, result in
      result.fill(0)
      let images = Matrix<Float>(uninitializedRows: panelLength, columns: block)
      forEachPanel(of: offsets) { range, panel in
        let panelImages = images.view.rows(0..<range.count)
        fillImages(of: columns.view, under: panel, panelImages)
        if isWide {
          blockProduct(panel, panelImages, into: result, accumulates: true)
        } else {
          addTransposedProduct(panel, panelImages, into: result)
        }
      }
    }
    let images = isWide ? sum.transposed() : sum
    return block == vectors.rowCount ? images : images.firstRows(vectors.rowCount)
  }

  /// BᵀB in double precision, s × s, lower triangle.
  func gram() -> Matrix<Double> {
    share.sum(rows: shortLength, columns: shortLength) { offsets, result in
      if isWide {
        fillGram(of: slice(offsets), into: result)
      } else {
        fillGram(of: slice(offsets).transposed, into: result)
      }
    }
  }

  /// X·Xᵀ in double precision for vectors X of the long side, of which this rank holds its columns.
  func longGram(_ vectors: MatrixView<Float>) -> Matrix<Double> {
    share.sum(rows: vectors.rowCount, columns: vectors.rowCount) { offsets, result in
      fillGram(of: vectors.columns(offsets), into: result)
    }
  }

  /// The vectors as columns, s × b with b rounded up to what block products take; added columns are zero.
  private func blockColumns(of vectors: MatrixView<Float>) -> Matrix<Float> {
    let block = (vectors.rowCount + blockGranularity - 1) / blockGranularity * blockGranularity
    let columns = Matrix<Float>(repeating: 0, rows: shortLength, columns: block)
    vectors.transpose(into: columns.view.columns(0..<vectors.rowCount))
    return columns
  }

  /// A panel's rows of B times the block: one row of images a long index.
  private func fillImages(
    of columns: MatrixView<Float>, under panel: MatrixView<Float>, _ images: MatrixView<Float>
  ) {
    guard isWide else { return blockProduct(panel, columns, into: images) }
    let rows = Matrix<Float>(repeating: 0, rows: images.columnCount, columns: images.rowCount)
    addTransposedProduct(panel, columns, into: rows.view)
    rows.view.transpose(into: images)
  }

  private func forEachPanel(of offsets: Range<Int>, _ body: (Range<Int>, MatrixView<Float>) -> Void) {
    for start in stride(from: offsets.lowerBound, to: offsets.upperBound, by: panelLength) {
      let range = start..<min(start + panelLength, offsets.upperBound)
      body(range, slice(range))
    }
  }

  private func slice(_ range: Range<Int>) -> MatrixView<Float> {
    isWide ? part.columns(range) : part.rows(range)
  }
}
