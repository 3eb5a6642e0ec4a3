import LinearAlgebra
import TensorDecomposition
import Testing

@Suite struct KruskalTensorTests {
  private func random(_ shape: [Int], rank: Int, seed: UInt64) -> KruskalTensor {
    let random = CounterRandom(seed: seed, name: "factors")
    return KruskalTensor(
      weights: (0..<rank).map { Double($0) - 1.5 },
      factors: shape.enumerated().map {
        SharedMatrix(Matrix(normal: random, rows: rank, columns: $1, block: $0))
      })
  }

  @Test("entries are the sum of the terms, in any form", arguments: [[3, 4], [4, 3, 2], [2, 3, 2, 3]])
  func entries(shape: [Int]) {
    let model = random(shape, rank: 4, seed: 1)
    let normal = model.normalized()
    let (plain, other) = (model.reconstructed().elements, normal.reconstructed().elements)
    for (position, index) in indices(of: shape).enumerated() {
      let sum = (0..<4).reduce(0.0) { sum, component in
        sum
          + index.indices.reduce(model.weights[component]) {
            $0 * model.factors[$1].matrix[component, index[$1]]
          }
      }
      #expect(abs(plain[position] - sum) < 1e-13 && abs(other[position] - sum) < 1e-13)
    }
    #expect(abs(model.squaredNorm - model.reconstructed().squaredNorm) < 1e-11)
    #expect(zip(normal.weights, normal.weights.dropFirst()).allSatisfy { $0 >= $1 && $1 >= 0 })
    for (mode, factor) in normal.factors.enumerated() {
      #expect(factor.matrix.rowNorms().allSatisfy { abs($0 - 1) < 1e-14 })
      if mode > 0 { #expect(factor.matrix.signsOfLargest().allSatisfy { $0 > 0 }) }
    }
  }

  @Test(
    "the products of a dense source are their sums",
    arguments: [[3, 4], [4, 3, 5], [3, 2, 4, 2], [20, 2, 3, 2]])
  func products(shape: [Int]) {
    let tensor = PlantedTensor.noise(shape)
    let factors = random(shape, rank: 3, seed: 2).factors
    var source = DenseSource(tensor)
    #expect(source.modeGroups.count == 2 && source.modeGroups.flatMap { $0 }.sorted() == Array(shape.indices))
    for (group, modes) in source.modeGroups.enumerated() {
      source.prepare(group: group, factors: factors)
      for mode in modes {
        let found = source.mttkrp(mode: mode, factors: factors)
        var expected = Array(repeating: Array(repeating: 0.0, count: shape[mode]), count: 3)
        for (position, index) in indices(of: shape).enumerated() {
          for component in 0..<3 {
            expected[component][index[mode]] += shape.indices.filter { $0 != mode }
              .reduce(tensor.elements[position]) { $0 * factors[$1].matrix[component, index[$1]] }
          }
        }
        for component in 0..<3 {
          for entry in 0..<shape[mode] {
            #expect(abs(found[component, entry] - expected[component][entry]) < 1e-12)
          }
        }
      }
    }
  }

  @Test("a score is 1 for the same components in another order and sign, and what the formula says otherwise")
  func score() {
    let model = PlantedTensor.model([9, 8, 7], rank: 4, congruence: 0.3, seed: 1)
    let flipped = KruskalTensor(
      weights: model.weights,
      factors: [model.factors[0], model.factors[1]].map {
        SharedMatrix($0.matrix.scalingRows(by: [-1, -1, -1, -1]))
      }
        + [model.factors[2]]
    ).selecting([2, 0, 3, 1])
    let match = FactorMatch(model, flipped)
    #expect(abs(match.score - 1) < 1e-13 && match.partners == [1, 3, 0, 2])
    let heavier = KruskalTensor(weights: model.weights.map { $0 * 2 }, factors: model.factors)
    #expect(abs(FactorMatch(model, heavier).score - 0.5) < 1e-13)
    let part = FactorMatch(model, model.selecting([3, 1]))
    #expect(abs(part.score - 1) < 1e-13 && part.partners == [nil, 1, nil, 0] && part.scores[0] == 0)
    // Orthogonal vectors in one mode: nothing in common.
    let rows = PlantedTensor.orthonormal(2, length: 5, seed: 1, mode: 0)
    func single(_ row: [Double]) -> KruskalTensor {
      let factor = SharedMatrix(Matrix(row, rows: 1, columns: 5))
      return KruskalTensor(
        weights: [1], factors: [factor, SharedMatrix(Matrix(rows[0], rows: 1, columns: 5))])
    }
    #expect(FactorMatch(single(rows[0]), single(rows[1])).score < 1e-14)
  }

  @Test("expansion through orthonormal bases is the expanded tensor, with the same weights and congruences")
  func expansion() throws {
    let tensor = PlantedTensor.multilinear([12, 10, 5], ranks: [4, 3, 5], seed: 2)
    let tucker = try TuckerDecomposition(of: tensor, .ranks([4, 3, nil]))
    let model = random([4, 3, 5], rank: 3, seed: 3).normalized()
    let expanded = model.expanded(through: tucker.bases)
    #expect(expanded.shape == [12, 10, 5] && expanded.weights == model.weights)
    // ‖X − U·M‖ = ‖G − M‖ since X lies in the bases.
    let difference = expanded.residual(of: tensor) - model.residual(of: tucker.core)
    #expect(abs(difference) < 1e-11 * tensor.squaredNorm)
    let own = model.congruences()
    let other = expanded.congruences()
    for row in 0..<3 { for column in 0..<3 { #expect(abs(own[row, column] - other[row, column]) < 1e-13) } }
  }

  @Test("a weight that is no number is no norm of zero")
  func notFinite() {
    let factor = SharedMatrix(Matrix<Double>(repeating: 1, rows: 1, columns: 2))
    #expect(KruskalTensor(weights: [.nan], factors: [factor, factor]).squaredNorm.isNaN)
  }

  @Test("near-equal weights are one block")
  func blocks() {
    let factor = SharedMatrix(Matrix<Double>(repeating: 1, rows: 5, columns: 2))
    let model = KruskalTensor(weights: [10, 9.95, 9.9, 5, 4.99], factors: [factor, factor])
    #expect(model.blocks(gap: 0.01) == [0..<3, 3..<5] && model.blocks(gap: 0.001).count == 5)
    #expect(
      KruskalTensor(weights: Array(repeating: 0, count: 5), factors: [factor, factor]).blocks() == [0..<5])
  }
}
