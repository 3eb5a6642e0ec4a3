internal import Foundation

/// A power of two that brings a matrix into the middle of single precision's range; 1 for ordinary weights.
package struct PowerOfTwoScale: Sendable {
  package let factor: Double

  /// Norms between 2⁻³⁰ and 2³⁰ are left alone: squares and cubes of them are far from either end.
  package init(norm: Double) {
    let exponent = Int(norm.exponent)
    factor = abs(exponent) <= 30 ? 1 : scalbn(1, -exponent)
  }

  func apply(to matrix: inout Matrix<Float>) { multiply(&matrix, by: factor) }

  func undo(on matrix: inout Matrix<Float>) { multiply(&matrix, by: 1 / factor) }

  private func multiply(_ matrix: inout Matrix<Float>, by factor: Double) {
    guard factor != 1 else { return }
    matrix.withMutableElements { elements in
      // In double: the factor itself may lie outside the range of a float.
      for index in elements.indices { elements[index] = Float(Double(elements[index]) * factor) }
    }
  }
}
