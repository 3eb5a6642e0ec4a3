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
