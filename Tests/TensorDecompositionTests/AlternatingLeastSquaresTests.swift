import LinearAlgebra
import TensorDecomposition
import Testing

/// A source that counts reads and, like layers that are streamed, groups modes out of order.
private struct LayeredSource: MTTKRPSource {
  let shape: [Int]
  let squaredNorm: Double
  let modeGroups = [[1], [0, 2]]
  private let tensor: DenseTensor
  private(set) var readCount = 0
  private var outer: [SharedMatrix<Double>] = []
  private var preparedGroup = -1

  init(_ tensor: DenseTensor) {
    self.tensor = tensor
    shape = tensor.shape
    squaredNorm = tensor.squaredNorm
  }

  mutating func prepare(group: Int, factors: [SharedMatrix<Double>]) {
    readCount += 1
    preparedGroup = group
    outer = factors
  }

  mutating func mttkrp(mode: Int, factors: [SharedMatrix<Double>]) throws -> Matrix<Double> {
    #expect(modeGroups[preparedGroup].contains(mode))
    // What was prepared: the factors outside the group as they were then; inside, as they are now.
    let current = factors.indices.map { modeGroups[preparedGroup].contains($0) ? factors[$0] : outer[$0] }
    for (index, factor) in factors.enumerated() where !modeGroups[preparedGroup].contains(index) {
      #expect(factor === outer[index])
    }
    let result = Matrix<Double>(repeating: 0, rows: factors[0].rowCount, columns: shape[mode])
    let elements = tensor.elements
    var sums = result.elements
    for (position, index) in indices(of: shape).enumerated() {
      for component in 0..<result.rowCount {
        sums[component * shape[mode] + index[mode]] += shape.indices.filter { $0 != mode }
          .reduce(elements[position]) { $0 * current[$1].matrix[component, index[$1]] }
      }
    }
    return Matrix(sums, rows: result.rowCount, columns: shape[mode])
  }
}

@Suite struct AlternatingLeastSquaresTests {
  private static let truth = PlantedTensor.model([8, 7, 6], rank: 3, congruence: 0.4, seed: 1)
  private static let tensor = PlantedTensor.withNoise(truth.reconstructed(), 0.05, seed: 2)

  /// The truth, disturbed.
  private static var start: KruskalTensor {
    KruskalTensor(
      weights: truth.weights,
      factors: truth.factors.enumerated().map { mode, factor in
        let noise = PlantedTensor.noise([3, factor.columnCount], seed: UInt64(mode)).elements
        let mixed = zip(factor.matrix.elements, noise).map { $0 + 0.1 * $1 }
        return SharedMatrix(Matrix(mixed, rows: 3, columns: factor.columnCount))
      })
  }

  @Test("residuals are those of the model, and fall")
  func monotone() throws {
    var squares = AlternatingLeastSquares(DenseSource(Self.tensor), from: Self.start)
    var last = Self.tensor.squaredNorm
    for _ in 0..<10 {
      let residual = try squares.sweep()
      #expect(abs(residual - squares.model.residual(of: Self.tensor)) < 1e-12 * Self.tensor.squaredNorm)
      #expect(residual <= last * (1 + 1e-12))
      last = residual
    }
    var bound = AlternatingLeastSquares(DenseSource(Self.tensor), from: Self.start)
    let ridged = try bound.sweep(ridge: 0.1)
    #expect(abs(ridged - bound.model.residual(of: Self.tensor)) < 1e-12 * Self.tensor.squaredNorm)
  }

  @Test("any source gives what the dense tensor gives, with one read a group")
  func source() throws {
    var squares = AlternatingLeastSquares(LayeredSource(Self.tensor), from: Self.start)
    let errors = try squares.run(sweeps: 200, tolerance: 1e-12)
    #expect(squares.source.readCount == 2 * errors.count && errors.count < 200)
    var dense = AlternatingLeastSquares(DenseSource(Self.tensor), from: Self.start)
    _ = try dense.run(sweeps: 200, tolerance: 1e-12)
    #expect(FactorMatch(squares.model, dense.model).score > 1 - 1e-6)
  }

  @Test("Gauss-Newton ends where ALS ends, in fewer steps, over any source")
  func gaussNewton() throws {
    var squares = AlternatingLeastSquares(DenseSource(Self.tensor), from: Self.start)
    let sweeps = try squares.run(sweeps: 2000, tolerance: 1e-13).count
    var newton = try DampedGaussNewton(LayeredSource(Self.tensor), from: Self.start)
    let result = try newton.run(steps: 100, tolerance: 1e-12)
    #expect(result.isConverged && result.steps < min(sweeps, 15))
    #expect(FactorMatch(squares.model, newton.model).score > 1 - 1e-5)
    #expect(abs(newton.residual - newton.model.residual(of: Self.tensor)) < 1e-12 * Self.tensor.squaredNorm)
    // A read is half a sweep: one for the start, two a step that was a gain.
    #expect(newton.source.readCount <= 2 * result.steps + 1)
  }
}
