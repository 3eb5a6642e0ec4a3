import JointDecomposition
import LinearAlgebra

/// Differences of any size made from a seed when they are asked for: directions that all layers share, some of a
/// layer's own, and a bulk of noise, as fine-tunes of a real model have them.
final class GeneratedSlices: SliceSource {
  let count: Int
  let rows: Int
  let columns: Int
  private let weights: SyntheticWeights
  /// One slice of noise, which every slice takes from another place on: fast to copy, and different enough.
  private let noise: SharedMatrix<Float>
  private let left: SharedMatrix<Float>
  private let right: SharedMatrix<Float>

  private static let sharedCount = 32
  private static let ownCount = 16

  init(count: Int, rows: Int, columns: Int, seed: UInt64) {
    self.count = count
    self.rows = rows
    self.columns = columns
    weights = SyntheticWeights(seed: seed, name: "stack")
    noise = SharedMatrix(weights.noise(rows: rows, columns: columns, deviation: 2e-4, stream: 1))
    left = SharedMatrix(weights.noise(rows: rows, columns: Self.sharedCount, deviation: 1, stream: 2))
    right = SharedMatrix(weights.noise(rows: Self.sharedCount, columns: columns, deviation: 1, stream: 3))
  }

  func load(_ index: Int) -> Slice {
    let slice = Matrix<Float>(recycledRows: rows, columns: columns)
    copyNoise(from: index * 7919 * (columns + 1) % (rows * columns), into: slice)
    let profile = weights.noise(
      rows: 1, columns: Self.sharedCount, deviation: 1, stream: UInt32(4 + 3 * index))
    let heights = (0..<Self.sharedCount).map {
      profile[0, $0] * 2e-5 * (1.5 - Float($0) / Float(Self.sharedCount))
    }
    var weighted = Matrix<Float>(uninitializedRows: rows, columns: Self.sharedCount)
    left.matrix.scaleColumns(by: heights, into: &weighted)
    multiply(weighted.view, right.matrix.view, into: slice.view, beta: 1)
    let ownLeft = weights.noise(
      rows: rows, columns: Self.ownCount, deviation: 2e-5, stream: UInt32(5 + 3 * index))
    let ownRight = weights.noise(
      rows: Self.ownCount, columns: columns, deviation: 1, stream: UInt32(6 + 3 * index))
    multiply(ownLeft.view, ownRight.view, into: slice.view, beta: 1)
    let energy = slice.sumOfSquares()
    return Slice(slice, energy: energy)
  }

  private func copyNoise(from start: Int, into slice: borrowing Matrix<Float>) {
    let length = rows * columns
    let (source, target) = (
      noise.matrix.view.reshaped(rows: 1, columns: length), slice.view.reshaped(rows: 1, columns: length)
    )
    target.columns(0..<length - start).copy(from: source.columns(start..<length))
    target.columns(length - start..<length).copy(from: source.columns(0..<start))
  }
}
