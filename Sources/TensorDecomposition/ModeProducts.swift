public import LinearAlgebra

extension DenseTensor {
  /// X ×ₙ A for A of r × (entries of the mode): mode n of the result has r entries.
  public func modeProduct(_ mode: Int, _ matrix: borrowing Matrix<Double>) -> DenseTensor {
    modeProduct(mode, matrix.view, isTransposed: false)
  }

  /// X ×ₙ Aᵀ for A of (entries of the mode) × r, of which nothing is moved.
  public func modeProduct(_ mode: Int, transposed matrix: borrowing Matrix<Double>) -> DenseTensor {
    modeProduct(mode, matrix.view, isTransposed: true)
  }

  private func modeProduct(_ mode: Int, _ matrix: MatrixView<Double>, isTransposed: Bool) -> DenseTensor {
    let (left, own, right) = split(around: mode)
    let newLength = isTransposed ? matrix.columnCount : matrix.rowCount
    precondition(
      own == (isTransposed ? matrix.rowCount : matrix.columnCount), "the matrix does not fit the mode")
    let result = Matrix<Double>(uninitializedRows: left * newLength, columns: right)
    withElements { elements in
      if right == 1 {
        let (source, target) = (
          elements.reshaped(rows: left, columns: own),
          result.view.reshaped(rows: left, columns: newLength)
        )
        if isTransposed {
          multiply(source, matrix, into: target)
        } else {
          multiply(source, matrix.transposed, into: target)
        }
        return
      }
      let blocks = elements.reshaped(rows: left * own, columns: right)
      for block in 0..<left {
        let source = blocks.rows(block * own..<(block + 1) * own)
        let target = result.view.rows(block * newLength..<(block + 1) * newLength)
        if isTransposed {
          multiply(matrix.transposed, source, into: target)
        } else {
          multiply(matrix, source, into: target)
        }
      }
    }
    var shape = shape
    shape[mode] = newLength
    return DenseTensor(result, shape: shape)
  }

  /// The products with the matrices of some modes, those first that shrink the tensor most.
  func modeProducts(_ modes: some Sequence<Int>, _ matrices: [SharedMatrix<Double>?]) -> DenseTensor {
    let present = modes.compactMap { mode in matrices[mode].map { (mode: mode, matrix: $0) } }
    func shrinkage(_ matrix: SharedMatrix<Double>) -> Double {
      Double(matrix.rowCount) / Double(matrix.columnCount)
    }
    return present.sorted { (shrinkage($0.matrix), $0.mode) < (shrinkage($1.matrix), $1.mode) }
      .reduce(self) { $0.modeProduct($1.mode, $1.matrix.matrix) }
  }

  /// X₍ₙ₎·X₍ₙ₎ᵀ for the unfolding whose rows are the entries of a mode; only the lower triangle is filled.
  public func gramMatrix(ofMode mode: Int) -> Matrix<Double> {
    let (left, own, right) = split(around: mode)
    let result = Matrix<Double>(repeating: 0, rows: own, columns: own)
    withElements { elements in
      if right == 1 {
        addGram(elements.reshaped(rows: left, columns: own).transposed, into: result.view)
        return
      }
      let blocks = elements.reshaped(rows: left * own, columns: right)
      for block in 0..<left { addGram(blocks.rows(block * own..<(block + 1) * own), into: result.view) }
    }
    return result
  }
}
