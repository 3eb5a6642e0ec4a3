internal import CKernels
package import Checkpoints
package import LinearAlgebra

extension ElementType {
  /// The difference of two tensors' bytes as `DeltaReader` forms it, without the reading.
  package func subtract(_ base: [UInt8], from tuned: [UInt8], into result: inout Matrix<Float>) {
    let byteCount = result.count * bitWidth / 8
    precondition(base.count == byteCount && tuned.count == byteCount, "the bytes do not fill the matrix")
    result.withMutableElements { elements in
      base.withUnsafeBytes { base in
        tuned.withUnsafeBytes { tuned in
          guard let target = elements.baseAddress, let old = base.baseAddress, let new = tuned.baseAddress
          else { return }
          ckernels_difference(old, kernel, new, kernel, target, elements.count)
        }
      }
    }
  }
}
