import LinearAlgebra
import TensorDecomposition

/// Seeded tensors whose components are known.
enum PlantedTensor {
  /// Independent, nearly normal entries.
  static func noise(_ shape: [Int], seed: UInt64 = 1) -> DenseTensor {
    DenseTensor(
      Matrix(normal: CounterRandom(seed: seed, name: "noise"), rows: 1, columns: shape.reduce(1, *)),
      shape: shape)
  }

  /// Orthonormal rows; random ones of length 1 beyond what the length allows.
  static func orthonormal(_ count: Int, length: Int, seed: UInt64, mode: Int) -> [[Double]] {
    let drawn = Matrix<Double>(
      normal: CounterRandom(seed: seed, name: "directions"), rows: count, columns: length, block: mode)
    var rows: [[Double]] = []
    for index in 0..<count {
      var row = (0..<length).map { drawn[index, $0] }
      for _ in 0..<2 {
        for other in index < length ? rows : [] {
          let overlap = zip(row, other).reduce(0) { $0 + $1.0 * $1.1 }
          row = zip(row, other).map { $0 - overlap * $1 }
        }
      }
      let norm = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
      rows.append(row.map { $0 / norm })
    }
    return rows
  }

  /// Components of weights 1 to 1.5 whose vectors have this cosine with each other in every mode.
  static func model(_ shape: [Int], rank: Int, congruence: Double, seed: UInt64) -> KruskalTensor {
    let factors = shape.enumerated().map { mode, length in
      let rows = orthonormal(rank + 1, length: length, seed: seed, mode: mode)
      let mixed = (0..<rank).flatMap { index in
        zip(rows[index], rows[rank]).map { (1 - congruence).squareRoot() * $0 + congruence.squareRoot() * $1 }
      }
      return SharedMatrix(Matrix(mixed, rows: rank, columns: length))
    }
    let weights = (0..<rank).map { 1 + 0.5 * Double($0) / Double(rank) }
    return KruskalTensor(weights: weights, factors: factors).normalized()
  }

  /// X + noise·‖X‖/‖E‖·E.
  static func withNoise(_ tensor: DenseTensor, _ noise: Double, seed: UInt64) -> DenseTensor {
    let error = Self.noise(tensor.shape, seed: seed)
    let scale = noise * (tensor.squaredNorm / error.squaredNorm).squareRoot()
    return DenseTensor(zip(tensor.elements, error.elements).map { $0 + scale * $1 }, shape: tensor.shape)
  }

  /// A random core of the given ranks in random orthonormal bases.
  static func multilinear(_ shape: [Int], ranks: [Int], seed: UInt64) -> DenseTensor {
    var tensor = noise(ranks, seed: seed)
    for (mode, length) in shape.enumerated() {
      let rows = orthonormal(ranks[mode], length: length, seed: seed, mode: mode).flatMap { $0 }
      tensor = tensor.modeProduct(mode, transposed: Matrix(rows, rows: ranks[mode], columns: length))
    }
    return tensor
  }
}

/// All index tuples of a shape, the last index fastest.
func indices(of shape: [Int]) -> [[Int]] {
  shape.reduce([[]]) { prefixes, length in prefixes.flatMap { prefix in (0..<length).map { prefix + [$0] } } }
}

/// The largest entry of |U·Uᵀ − I|.
func orthogonalityError(_ basis: SharedMatrix<Double>) -> Double {
  let gram = rowProducts(basis.matrix, basis.matrix)
  return (0..<gram.rowCount).flatMap { row in
    (0..<gram.rowCount).map { abs(gram[row, $0] - (row == $0 ? 1 : 0)) }
  }.max() ?? 0
}
