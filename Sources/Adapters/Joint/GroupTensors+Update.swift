internal import LinearAlgebra

extension GroupTensors {
  /// What an edit leaves of one slice, exactly, with as small a rank as its components have; nil if that is nothing.
  ///
  /// - Parameters:
  ///   - slice: The slice's number.
  ///   - edit: The factors of this group's components.
  /// - Returns: B and A of single precision.
  func update(ofSlice slice: Int, _ edit: ResolvedEdit.Group) -> LowRankUpdate? {
    let module = slice % record.modules.count
    func factors(_ side: ComponentSide, count: Int) -> [Double] {
      edit.factors[side] ?? [Double](repeating: 1, count: count)
    }
    if method == .cp {
      let kept = factors(.both, count: 0).map { edit.factor($0, module: module) }
      return rankOneSum(zip(componentWeights(ofSlice: slice), kept).map { $0 * $1 })
    }
    let middle = middle(ofSlice: slice)
    let (rows, columns) = (
      factors(.out, count: middle.rowCount), factors(.in, count: middle.columnCount)
    )
    for row in 0..<middle.rowCount {
      for column in 0..<middle.columnCount {
        let factor = edit.factor(rows[row] * columns[column], module: module)
        if factor != 1 { middle.view.row(row)[column] *= Float(factor) }
      }
    }
    return method == .tucker ? betweenBases(middle) : besideBasis(middle)
  }

  /// The whole of a slice; nil if it is zero.
  func update(ofSlice slice: Int) -> LowRankUpdate? {
    let sets = record.componentSets(method).map { ($0.side, [Double](repeating: 1, count: $0.count)) }
    return update(
      ofSlice: slice,
      ResolvedEdit.Group(
        factors: Dictionary(uniqueKeysWithValues: sets), takesModule: record.modules.map { _ in true },
        takesComplement: false))
  }

  /// Σ λᵣ·outᵣ·inᵣᵀ, √|λ| on each side.
  private func rankOneSum(_ weights: [Double]) -> LowRankUpdate? {
    let kept = weights.indices.filter { weights[$0] != 0 }
    guard !kept.isEmpty else { return nil }
    let b = selectingColumns(tensor("out").matrix, kept)
    let a = selectingColumns(tensor("in").matrix, kept).transposed()
    for (position, component) in kept.enumerated() {
      let root = abs(weights[component]).squareRoot()
      a.view.rows(position..<position + 1).scale(by: root)
      b.view.columns(position..<position + 1).scale(by: weights[component] < 0 ? -root : root)
    }
    return LowRankUpdate(b: b, a: a)
  }

  /// out_basis · core · in_basisᵀ; the core goes to the side on which it saves more.
  private func betweenBases(_ core: borrowing Matrix<Float>) -> LowRankUpdate? {
    let (rows, columns) = (nonzeroRows(core.view), nonzeroColumns(core.view))
    guard !rows.isEmpty, !columns.isEmpty else { return nil }
    let left = selectingColumns(tensor("out_basis").matrix, rows)
    let right = selectingColumns(tensor("in_basis").matrix, columns).transposed()
    let inner = selectingRows(selectingColumns(core, columns), rows)
    if columns.count <= rows.count {
      return LowRankUpdate(b: product(left.view, inner.view), a: right).balanced()
    }
    return LowRankUpdate(b: left, a: product(inner.view, right.view)).balanced()
  }

  /// out_basis · coefficients, or coefficients · in_basisᵀ.
  private func besideBasis(_ coefficients: borrowing Matrix<Float>) -> LowRankUpdate? {
    if record.outRank != nil {
      let kept = nonzeroRows(coefficients.view)
      guard !kept.isEmpty else { return nil }
      return LowRankUpdate(
        b: selectingColumns(tensor("out_basis").matrix, kept), a: selectingRows(coefficients, kept)
      ).balanced()
    }
    let kept = nonzeroColumns(coefficients.view)
    guard !kept.isEmpty else { return nil }
    return LowRankUpdate(
      b: selectingColumns(coefficients, kept),
      a: selectingColumns(tensor("in_basis").matrix, kept).transposed()
    ).balanced()
  }
}

private func nonzeroRows(_ block: MatrixView<Float>) -> [Int] {
  (0..<block.rowCount).filter { block.rows($0..<$0 + 1).sumOfSquares() > 0 }
}

private func nonzeroColumns(_ block: MatrixView<Float>) -> [Int] {
  (0..<block.columnCount).filter { block.columns($0..<$0 + 1).sumOfSquares() > 0 }
}

private func selectingRows(_ matrix: borrowing Matrix<Float>, _ rows: [Int]) -> Matrix<Float> {
  let result = Matrix<Float>(uninitializedRows: rows.count, columns: matrix.columnCount)
  for (target, row) in rows.enumerated() {
    result.view.rows(target..<target + 1).copy(from: matrix.view.rows(row..<row + 1))
  }
  return result
}

private func selectingColumns(_ matrix: borrowing Matrix<Float>, _ columns: [Int]) -> Matrix<Float> {
  let result = Matrix<Float>(uninitializedRows: matrix.rowCount, columns: columns.count)
  for (target, column) in columns.enumerated() {
    result.view.columns(target..<target + 1).copy(from: matrix.view.columns(column..<column + 1))
  }
  return result
}

private func product(_ a: MatrixView<Float>, _ b: MatrixView<Float>) -> Matrix<Float> {
  let result = Matrix<Float>(uninitializedRows: a.rowCount, columns: b.columnCount)
  multiply(a, b, into: result.view)
  return result
}
