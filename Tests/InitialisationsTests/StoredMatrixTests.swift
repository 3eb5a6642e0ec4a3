import Checkpoints
import Foundation
import Initialisations
import LinearAlgebra
import TestSupport
import Testing
import WeightSources

@Suite struct StoredMatrixTests {
  @Test(
    "a number beside the middle of two stored ones goes to its own side, not where single precision puts it")
  func roundedOnce() throws {
    // One and a half units of bf16, and a little that single precision does not hold.
    let cases: [(Double, Double)] = [
      (1 + 0x1p-8 + 0x1p-40, 1 + 0x1p-7), (1 + 0x1p-8 - 0x1p-40, 1), (1 + 0x1p-8, 1),
      (-1 - 0x1p-8 - 0x1p-40, -1 - 0x1p-7), (1 + 3 * 0x1p-8, 1 + 0x1p-6), (0, 0), (0x1p-140, 0),
    ]
    for (value, expected) in cases {
      let stored = try StoredMatrix(Matrix([value], rows: 1, columns: 1), as: .bf16, module: "m")
      #expect(stored.values[0, 0] == expected, "\(value)")
    }
    let half = try StoredMatrix(Matrix([1 + 0x1p-11 + 0x1p-40], rows: 1, columns: 1), as: .f16, module: "m")
    #expect(half.values[0, 0] == 1 + 0x1p-10)
    let single = try StoredMatrix(Matrix([1 + 0x1p-24 + 0x1p-50], rows: 1, columns: 1), as: .f32, module: "m")
    #expect(single.values[0, 0] == 1 + 0x1p-23)
  }

  @Test("an entry that the type does not reach is an error with its value")
  func overflow() {
    #expect(throws: InitialisationError.overflow(module: "m", type: .f16, value: 1e6)) {
      let matrix = Matrix([1.0, 1e6], rows: 2, columns: 1)
      _ = try StoredMatrix(matrix, as: .f16, module: "m")
    }
  }

  @Test(
    "weight = residual + product to the residual's last rounding, for all shapes, types and layouts",
    arguments: [ElementType.f32, .bf16, .f16], [ElementType.f32, .bf16, .f16])
  func residual(weightType: ElementType, factorType: ElementType) throws {
    for (rows, columns, rank) in [(17, 9, 3), (9, 17, 9), (1, 5, 1), (6, 6, 2)] {
      for isTransposed in [false, true] {
        let source = TestMatrices.noise(rows: rows, columns: columns, seed: UInt64(rows))
        let weight = weightType.decode(weightType.encode(source), rows: rows, columns: columns)
        let left = try StoredMatrix(
          TestMatrices.noise(rows: rows, columns: rank, seed: 2).widened(), as: factorType, module: "m")
        let right = try StoredMatrix(
          TestMatrices.noise(rows: rank, columns: columns, seed: 3).widened(), as: factorType, module: "m")
        let residual = try ResidualWeight(
          of: weight, minus: left.values, times: right.values, as: weightType, isTransposed: isTransposed,
          module: "m")
        var energy = 0.0
        for row in 0..<rows {
          for column in 0..<columns {
            let product = (0..<rank).reduce(0.0) { $0 + left.values[row, $1] * right.values[$1, column] }
            energy += product * product
            let width = weightType.bitWidth / 8
            let index = (isTransposed ? column * rows + row : row * columns + column) * width
            let stored = fixtureValues(Array(residual.bytes[index..<index + width]), weightType)[0]
            let error = abs(Double(weight[row, column]) - product - stored)
            #expect(error <= halfUnit(stored, weightType) + 1e-15)
          }
        }
        #expect(abs(energy - residual.productEnergy) < 1e-9 * energy)
      }
    }
  }

  /// Half the distance from a stored number to its neighbours.
  private func halfUnit(_ value: Double, _ type: ElementType) -> Double {
    let digits = [ElementType.f32: 24, .bf16: 8, .f16: 11][type] ?? 0
    let lowest = type == .f16 ? -14 : -126
    let exponent = value == 0 ? lowest : max(lowest, Int(value.exponent))
    return Double(sign: .plus, exponent: exponent - digits, significand: 1)
  }
}
