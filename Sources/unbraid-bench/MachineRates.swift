import Foundation
import LinearAlgebra

/// What processor and memory can do, measured in the same run as what is held against it.
enum MachineRates {
  /// Operations a second of a square product by the BLAS, on the threads it is set to; the best of several.
  static func sgemm(order: Int = 3072, runs: Int = 3) -> Double {
    let random = CounterRandom(seed: 0, name: "sgemm")
    let left = Matrix<Float>(uniform: random, rows: order, columns: order)
    let right = Matrix<Float>(uniform: random, rows: order, columns: order)
    let result = Matrix<Float>(repeating: 0, rows: order, columns: order)
    let time = Measurement(count: runs) { multiply(left.view, right.view, into: result.view) }
    return 2 * pow(Double(order), 3) / time.least
  }

  /// Bytes a second of reading memory from end to end on one core; the best of several.
  static func memoryRead(bytes: Int = 1 << 30, runs: Int = 3) -> Double {
    let memory = Matrix<SIMD8<UInt64>>(repeating: .one, rows: 1, columns: bytes / 64)
    var folded = SIMD8<UInt64>()
    let time = Measurement(count: runs) {
      let words = memory.view.row(0)
      for index in words.indices { folded ^= words[index] }
    }
    // Keeps the reads from being optimised away.
    precondition(folded[0] <= 1)
    return Double(bytes) / time.least
  }
}
