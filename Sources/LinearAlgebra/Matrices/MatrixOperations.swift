/// A·B as a new matrix in double precision.
package func product(_ a: borrowing Matrix<Double>, _ b: borrowing Matrix<Double>) -> Matrix<Double> {
  let result = Matrix<Double>(uninitializedRows: a.rowCount, columns: b.columnCount)
  multiply(a.view, b.view, into: result.view)
  return result
}

/// A·Bᵀ as a new matrix: the inner products of the rows of A with those of B.
package func rowProducts(_ a: borrowing Matrix<Double>, _ b: borrowing Matrix<Double>) -> Matrix<Double> {
  let result = Matrix<Double>(uninitializedRows: a.rowCount, columns: b.rowCount)
  multiply(a.view, b.view.transposed, into: result.view)
  return result
}

extension Matrix where Element == Double {
  /// A copy.
  package borrowing func copy() -> Matrix {
    let result = Matrix(uninitializedRows: rowCount, columns: columnCount)
    result.view.copy(from: view)
    return result
  }

  /// A copy of some rows, in the order given.
  package borrowing func selectingRows(_ rows: [Int]) -> Matrix {
    let result = Matrix(uninitializedRows: rows.count, columns: columnCount)
    for (target, row) in rows.enumerated() {
      result.view.rows(target..<target + 1).copy(from: view.rows(row..<row + 1))
    }
    return result
  }

  /// A copy of some columns.
  package borrowing func copyingColumns(_ range: Range<Int>) -> Matrix {
    let result = Matrix(uninitializedRows: rowCount, columns: range.count)
    result.view.copy(from: view.columns(range))
    return result
  }

  /// A copy with row i multiplied by `factors[i]`.
  package borrowing func scalingRows(by factors: [Double]) -> Matrix {
    precondition(factors.count == rowCount, "one factor a row")
    let result = copy()
    for (row, factor) in factors.enumerated() { result.view.scaleRow(row, by: factor) }
    return result
  }

  /// The sign of the entry of each row with the largest magnitude, the first of equals; 1 for a zero row.
  package borrowing func signsOfLargest() -> [Double] {
    let block = view
    return (0..<rowCount).map { row in
      block.largestColumn(inRow: row).map { block.row(row)[$0] < 0 ? -1 : 1 } ?? 1
    }
  }

  /// The Euclidean norm of each row.
  package borrowing func rowNorms() -> [Double] {
    let block = view
    return (0..<rowCount).map { block.rows($0..<$0 + 1).sumOfSquares().squareRoot() }
  }
}

extension Matrix where Element == Float {
  /// All entries in double precision.
  package borrowing func widened() -> Matrix<Double> {
    let result = Matrix<Double>(uninitializedRows: rowCount, columns: columnCount)
    for row in 0..<rowCount {
      let (wide, narrow) = (result.view.row(row), view.row(row))
      for column in narrow.indices { wide[column] = Double(narrow[column]) }
    }
    return result
  }
}
