import Foundation
public import LinearAlgebra

/// Seeded matrices whose singular values are known.
public enum TestMatrices {
  /// U·diag(σ)·Vᵀ for random orthonormal U (rows × σ.count) and V (columns × σ.count).
  public static func withSpectrum(_ spectrum: [Double], rows: Int, columns: Int, seed: UInt64 = 1) -> Matrix<
    Float
  > {
    let left = orthonormalRows(spectrum.count, length: rows, name: "left", seed: seed).transposed()
    let right = orthonormalRows(spectrum.count, length: columns, name: "right", seed: seed)
    var weighted = Matrix<Float>(uninitializedRows: rows, columns: spectrum.count)
    left.scaleColumns(by: spectrum.map { Float($0) }, into: &weighted)
    let result = Matrix<Float>(uninitializedRows: rows, columns: columns)
    multiply(weighted.view, right.view, into: result.view)
    return result
  }

  /// Random orthonormal rows.
  public static func orthonormalRows(_ count: Int, length: Int, name: String, seed: UInt64) -> Matrix<Float> {
    let rows = Matrix<Float>(uniform: CounterRandom(seed: seed, name: name), rows: count, columns: length)
    _ = orthonormalizeRows(rows.view)
    _ = orthonormalizeRows(rows.view)
    return rows
  }

  /// Independent entries of variance 1/3: the flattest spectrum there is, the worst case of every iteration.
  public static func noise(rows: Int, columns: Int, seed: UInt64 = 1) -> Matrix<Float> {
    Matrix(uniform: CounterRandom(seed: seed, name: "noise"), rows: rows, columns: columns)
  }

  /// σᵢ = i^−exponent.
  public static func powerLaw(_ exponent: Double, count: Int) -> [Double] {
    (1...count).map { pow(Double($0), -exponent) }
  }
}

/// The truth about a matrix, from the whole spectrum of its Gram matrix in double precision.
public struct ExactSpectrum {
  /// σᵢ², descending.
  public let energies: [Double]

  /// Decomposes a copy of the matrix; min(m, n)³ operations.
  public init(of matrix: borrowing Matrix<Float>) throws {
    let isWide = matrix.columnCount > matrix.rowCount
    let gram = isWide ? gramMatrix(matrix.view) : gramMatrix(matrix.view.transposed)
    energies = try SymmetricEigen(lowerTriangle: gram, wantsVectors: false).values.map { max(0, $0) }
  }

  /// The energy of the best approximation of this rank.
  public func optimum(rank: Int) -> Double { energies.prefix(rank).reversed().reduce(0, +) }
}

/// max |XXᵀ − I| over the rows of X.
public func orthogonalityError(ofRows rows: borrowing Matrix<Float>) -> Double {
  let gram = gramMatrix(rows.view)
  var largest = 0.0
  for row in 0..<gram.rowCount {
    for column in 0...row { largest = max(largest, abs(gram[row, column] - (row == column ? 1 : 0))) }
  }
  return largest
}
