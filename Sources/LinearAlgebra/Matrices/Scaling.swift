extension Matrix where Element == Float {
  /// Writes this matrix with column j multiplied by `factors[j]`.
  public borrowing func scaleColumns(by factors: [Float], into result: inout Matrix<Float>) {
    precondition(factors.count == columnCount && result.shape == shape, "one factor a column, equal shapes")
    for row in 0..<rowCount {
      let (source, target) = (view.row(row), result.view.row(row))
      for column in 0..<columnCount { target[column] = source[column] * factors[column] }
    }
  }

  /// Writes this matrix with row i multiplied by `factors[i]`.
  public borrowing func scaleRows(by factors: [Float], into result: inout Matrix<Float>) {
    precondition(factors.count == rowCount && result.shape == shape, "one factor a row, equal shapes")
    for row in 0..<rowCount {
      let (source, target) = (view.row(row), result.view.row(row))
      for column in 0..<columnCount { target[column] = source[column] * factors[row] }
    }
  }
}

extension MatrixView where Element == Float {
  /// Adds a block of equal shape.
  package func add(_ block: MatrixView) {
    precondition(block.rowCount == rowCount && block.columnCount == columnCount, "blocks differ in shape")
    for row in 0..<rowCount {
      let (target, source) = (base + row * stride, block.base + row * block.stride)
      for column in 0..<columnCount { target[column] += source[column] }
    }
  }

  /// Multiplies every element; in double precision, since a factor may lie outside the range of a float.
  package func scale(by factor: Double) {
    for row in 0..<rowCount {
      for column in 0..<columnCount {
        base[row * stride + column] = Float(Double(base[row * stride + column]) * factor)
      }
    }
  }
}
