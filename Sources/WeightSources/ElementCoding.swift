internal import CKernels
public import Checkpoints
public import LinearAlgebra

extension ElementType {
  /// The elements of a matrix, row after row, rounded to nearest even and stored as this type.
  ///
  /// For F32, BF16 and F16; an entry beyond the type's range becomes an infinity.
  public func encode(_ matrix: borrowing Matrix<Float>) -> [UInt8] {
    precondition([.f32, .bf16, .f16].contains(self), "factors are stored as F32, BF16 or F16")
    let byteCount = matrix.count * bitWidth / 8
    return [UInt8](unsafeUninitializedCapacity: byteCount) { bytes, initializedCount in
      matrix.withElements { elements in
        guard let source = elements.baseAddress, let target = bytes.baseAddress else { return }
        ckernels_narrow(source, kernel, target, elements.count)
      }
      initializedCount = byteCount
    }
  }

  /// The same of numbers in double precision, which are rounded once and not on the way to single precision too.
  package func encode(_ matrix: borrowing Matrix<Double>) -> [UInt8] {
    let narrowed = Matrix<Float>(uninitializedRows: matrix.rowCount, columns: matrix.columnCount)
    for row in 0..<matrix.rowCount {
      let (target, source) = (narrowed.view.row(row), matrix.view.row(row))
      for column in source.indices {
        target[column] = self == .f32 ? Float(source[column]) : roundedToOdd(source[column])
      }
    }
    return encode(narrowed)
  }

  /// The matrix that stored bytes stand for; exact but for F64, which is rounded.
  public func decode(_ bytes: [UInt8], rows: Int, columns: Int) -> Matrix<Float> {
    precondition(bytes.count == rows * columns * bitWidth / 8, "the bytes do not fill the matrix")
    var matrix = Matrix<Float>(uninitializedRows: rows, columns: columns)
    matrix.withMutableElements { elements in
      bytes.withUnsafeBytes { stored in
        guard let source = stored.baseAddress, let target = elements.baseAddress else { return }
        ckernels_widen(source, kernel, target, elements.count)
      }
    }
    return matrix
  }
}

/// The float towards zero whose last bit says that something was lost: rounded again to a type that is shorter by two
/// bits or more, it gives what the number itself would (Boldo and Melquiond 2008).
private func roundedToOdd(_ value: Double) -> Float {
  let nearest = Float(value)
  guard nearest.isFinite, Double(nearest) != value else { return nearest }
  let towardsZero = Double(nearest.magnitude) > value.magnitude ? nearest.bitPattern - 1 : nearest.bitPattern
  return Float(bitPattern: towardsZero | 1)
}
