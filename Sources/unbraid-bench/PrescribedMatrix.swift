import LinearAlgebra

/// A matrix of known singular values: A = L·diag(σ)·R with random orthogonal L and R.
///
/// The energy of its best rank k is thus known without any decomposition, up to the rounding of single precision
/// in the transforms, some 1e-7 of ‖A‖.
struct PrescribedMatrix: ~Copyable {
  var matrix: Matrix<Float>
  private let values: [Double]

  /// Columns transformed at once: a cache line of each row, so that a segment stays in the second-level cache.
  private static let panelWidth = 16

  init(_ spectrum: Spectrum, rows: Int, columns: Int, seed: UInt64 = 0) throws {
    values = spectrum.values(rows: rows, columns: columns)
    matrix = Matrix(repeating: 0, rows: rows, columns: columns)
    try fillRows(seed)
    try transformColumns(seed)
  }

  /// Σσ² of the k largest singular values, the most that any matrix of rank k captures.
  func energy(ofBestRank rank: Int) -> Double {
    values.prefix(rank).reversed().reduce(0) { $0 + $1 * $1 }
  }

  /// diag(σ)·R into the first min(m, n) rows; the others stay zero.
  private func fillRows(_ seed: UInt64) throws {
    let transform = try OrthogonalTransform(
      length: matrix.columnCount, random: CounterRandom(seed: seed, name: "right"))
    for start in stride(from: 0, to: values.count, by: Self.panelWidth) {
      let rows = start..<min(start + Self.panelWidth, values.count)
      let images = Matrix<Float>(repeating: 0, rows: matrix.columnCount, columns: rows.count)
      for row in rows { images.view.row(row)[row - start] = Float(values[row]) }
      transform.apply(to: images.view)
      images.view.transpose(into: matrix.view.rows(rows))
    }
  }

  private func transformColumns(_ seed: UInt64) throws {
    let transform = try OrthogonalTransform(
      length: matrix.rowCount, random: CounterRandom(seed: seed, name: "left"))
    for start in stride(from: 0, to: matrix.columnCount, by: Self.panelWidth) {
      let panel = matrix.view.columns(start..<min(start + Self.panelWidth, matrix.columnCount))
      let images = Matrix<Float>(uninitializedRows: panel.rowCount, columns: panel.columnCount)
      images.view.copy(from: panel)
      transform.apply(to: images.view)
      panel.copy(from: images.view)
    }
  }
}
