public import LinearAlgebra

/// The leading triplets of a weight.
struct LeadingTriplets: ~Copyable {
  /// out × found.
  let u: Matrix<Double>
  /// Descending; fewer than asked for where single precision does not tell the others from zero.
  let values: [Double]
  /// found × in.
  let vh: Matrix<Double>

  /// Finds them.
  init(of weight: inout Matrix<Float>, options: TruncatedSVD.Options, threadCount: Int) throws {
    let share = LongSideShare(
      rows: weight.rowCount, columns: weight.columnCount, threadCount: threadCount)
    let svd = try TruncatedSVD(of: &weight, share: share, options: options)
    u = svd.u.widened()
    values = svd.s
    vh = svd.vh.widened()
  }
}

extension FactorPair {
  /// PiSSA: √σ on each side of the leading triplets.
  public init(
    leadingOf weight: inout Matrix<Float>, options: TruncatedSVD.Options, threadCount: Int = 1
  ) throws {
    let rank = options.rank
    let triplets = try LeadingTriplets(of: &weight, options: options, threadCount: threadCount)
    self.init(splitting: triplets.values, u: triplets.u, v: triplets.vh, rank: rank)
  }

  /// MiLoRA: √σ on each side of the last triplets, the smallest value last.
  public init(lastOf weight: borrowing Matrix<Float>, rank: Int) throws {
    let svd = try DoubleSVD(of: weight.widened())
    let chosen = svd.s.count - rank..<svd.s.count
    self.init(
      splitting: Array(svd.s[chosen]), u: svd.u.copyingColumns(chosen),
      v: svd.vh.selectingRows(Array(chosen)), rank: rank)
  }

  /// OLoRA: the first columns of Q and the first rows of R, where W = Q·R without pivoting.
  ///
  /// They need only the first columns of W: the rows of R are Qᵀ·W.
  public init(orthonormalOf weight: borrowing Matrix<Float>, rank: Int) throws {
    let wide = weight.widened()
    let qr = try HouseholderQR(of: wide.copyingColumns(0..<rank))
    let rows = Matrix<Double>(uninitializedRows: rank, columns: wide.columnCount)
    multiply(qr.q.view.transposed, wide.view, into: rows.view)
    // Below the diagonal stand zeros, not what rounding makes of them.
    rows.view.columns(0..<rank).copy(from: qr.r.view)
    let diagonal = (0..<rank).map { abs(qr.r[$0, $0]) }
    self.init(left: qr.q.copy(), right: rows, values: diagonal)
  }

  /// LoRA-XS: U on the output's side and Σ·Vᵀ on the input's; the weight stays as it is.
  public init(
    frozenOf weight: inout Matrix<Float>, options: TruncatedSVD.Options, threadCount: Int = 1
  ) throws {
    let rank = options.rank
    let triplets = try LeadingTriplets(of: &weight, options: options, threadCount: threadCount)
    let ones = triplets.values.map { _ in 1.0 }
    self.init(
      left: scaledColumns(triplets.u, by: ones, count: rank),
      right: scaledRows(triplets.vh, by: triplets.values, count: rank),
      values: triplets.values + Array(repeating: 0, count: rank - triplets.values.count))
  }
}
