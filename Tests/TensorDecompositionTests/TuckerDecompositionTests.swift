import Foundation
import LinearAlgebra
import TensorDecomposition
import Testing

@Suite struct TuckerDecompositionTests {
  @Test("a planted multilinear rank is recovered, and its certificates agree")
  func exactRecovery() throws {
    let tensor = PlantedTensor.multilinear([20, 15, 9], ranks: [4, 5, 3], seed: 1)
    for truncation in [TuckerDecomposition.Truncation.ranks([4, 5, 3]), .tolerance(1e-5)] {
      let result = try TuckerDecomposition(of: tensor, truncation)
      #expect(result.ranks == [4, 5, 3] && result.report.relativeError < 1e-13 && result.report.isConverged)
      #expect(result.report.lostEnergy < 1e-13 * tensor.squaredNorm)
    }
  }

  @Test(
    "bases are orthonormal with positive largest entries, the core is ordered, energies never fall",
    arguments: [[12, 10, 8], [9, 8, 7, 3]])
  func invariants(shape: [Int]) throws {
    let tensor = PlantedTensor.noise(shape)
    let result = try TuckerDecomposition(of: tensor, .ranks(shape.map { $0 / 2 }))
    for (mode, basis) in result.bases.enumerated() {
      let basis = try #require(basis)
      #expect(orthogonalityError(basis) < 1e-13)
      #expect(basis.matrix.signsOfLargest().allSatisfy { $0 > 0 })
      let gram = result.core.gramMatrix(ofMode: mode)
      for row in 0..<gram.rowCount {
        for column in 0..<row { #expect(abs(gram[row, column]) < 1e-12 * tensor.squaredNorm) }
        if row > 0 { #expect(gram[row, row] <= gram[row - 1, row - 1] * (1 + 1e-12)) }
      }
    }
    let energies = result.report.capturedEnergies
    #expect(zip(energies, energies.dropFirst()).allSatisfy { $1 >= $0 * (1 - 1e-14) })
    // On noise HOOI does gain on the ST-HOSVD, or it did nothing.
    #expect(energies[energies.count - 1] > result.report.initialEnergy * 1.0001)
    let explicit = result.reconstructed().squaredDistance(to: tensor)
    #expect(abs(result.report.lostEnergy - explicit) < 1e-12 * tensor.squaredNorm)
    #expect(abs(result.report.residual - explicit) < 1e-12 * tensor.squaredNorm)
  }

  @Test("rank one of tiny tensors comes near the best of all directions")
  func bruteForce() throws {
    var bestCount = 0
    for seed: UInt64 in 1...10 {
      let tensor = PlantedTensor.noise([2, 2, 2], seed: seed)
      let elements = tensor.elements
      var best = 0.0
      let angles = (0..<90).map { Double($0) * .pi / 90 }
      for first in angles {
        for second in angles {
          // The best third vector is the contraction with the other two.
          var energy = 0.0
          for layer in 0..<2 {
            let sum =
              cos(first) * (cos(second) * elements[layer] + sin(second) * elements[2 + layer])
              + sin(first) * (cos(second) * elements[4 + layer] + sin(second) * elements[6 + layer])
            energy += sum * sum
          }
          best = max(best, energy)
        }
      }
      let captured = try TuckerDecomposition(of: tensor, .ranks([1, 1, 1])).core.squaredNorm
      // Within √3 of the least error for certain; the grid misses the top by less than 2·(π/180)².
      #expect(tensor.squaredNorm - captured <= 3 * (tensor.squaredNorm - best))
      if captured >= best * (1 - 1e-9) { bestCount += 1 }
      #expect(captured <= best * (1 + 2e-3))
    }
    #expect(bestCount >= 8)
  }

  @Test("a tolerance is met with no more than the ST-HOSVD's ranks", arguments: [0.7, 0.3, 0.1, 1e-3])
  func tolerance(tolerance: Double) throws {
    let exact = PlantedTensor.multilinear([16, 14, 12], ranks: [5, 4, 6], seed: 3)
    let tensor = PlantedTensor.withNoise(exact, 0.2, seed: 4)
    let result = try TuckerDecomposition(of: tensor, .tolerance(tolerance, whole: [2]))
    #expect(result.report.relativeError <= tolerance)
    #expect(result.bases[2] == nil && result.ranks[2] == 12)
    #expect(zip(result.ranks, result.report.initialRanks).allSatisfy { $0 <= $1 })
    // Ranks are not simply full: one less in either mode breaks the tolerance or the first was not needed.
    if tolerance == 0.3 { #expect(result.ranks[0] <= 5 && result.ranks[1] <= 4) }
  }

  @Test("a tolerance beyond double precision keeps every mode whole, and says so")
  func impossibleTolerance() throws {
    let tensor = PlantedTensor.noise([5, 6, 4])
    let result = try TuckerDecomposition(of: tensor, .tolerance(1e-17))
    #expect(result.report.relativeError == 0 && result.bases.allSatisfy { $0 == nil })
    #expect(
      result.report.notes == ["the tolerance is below what double precision resolves; no mode was compressed"]
    )
    let exact = PlantedTensor.multilinear([9, 8, 7], ranks: [2, 3, 2], seed: 1)
    let small = try TuckerDecomposition(of: exact, .tolerance(1e-10))
    #expect(small.report.relativeError <= 1e-10)
  }

  @Test("a mode may stay whole: then each slice is U₁ᵀ·G·U₂ with shared bases")
  func wholeMode() throws {
    let tensor = PlantedTensor.multilinear([10, 9, 6], ranks: [3, 4, 6], seed: 5)
    let result = try TuckerDecomposition(of: tensor, .ranks([3, 4, nil]))
    #expect(result.bases[2] == nil && result.core.shape == [3, 4, 6] && result.report.relativeError < 1e-13)
  }

  @Test("ranks are clamped to what the tensor supports, with a note")
  func clamping() throws {
    let tensor = PlantedTensor.noise([8, 7, 2])
    let result = try TuckerDecomposition(of: tensor, .ranks([20, 3, 2]))
    #expect(result.ranks == [6, 3, 2])
    #expect(
      result.report.notes == [
        "rank 20 of mode 0 became 6, the largest that a 8 × 7 × 2 tensor supports beside the other ranks"
      ])
  }

  @Test("what cannot be decomposed is refused in a sentence; a zero tensor is not")
  func refusals() throws {
    var elements = [Double](repeating: 0, count: 24)
    let zero = try TuckerDecomposition(of: DenseTensor(elements, shape: [2, 3, 4]), .ranks([2, 2, 2]))
    #expect(zero.report.relativeError == 0 && zero.core.elements.allSatisfy { $0 == 0 })
    let none = try TuckerDecomposition(of: DenseTensor(elements, shape: [2, 3, 4]), .tolerance(0.1))
    #expect(none.ranks == [1, 1, 1])
    #expect(throws: TensorError.rankTooSmall(0)) {
      try TuckerDecomposition(of: DenseTensor(elements, shape: [2, 3, 4]), .ranks([1, 0, 1]))
    }
    #expect(throws: TensorError.modeCount(given: 2, modes: 3)) {
      try TuckerDecomposition(of: DenseTensor(elements, shape: [2, 3, 4]), .ranks([1, 1]))
    }
    #expect(throws: TensorError.tolerance(0)) {
      try TuckerDecomposition(of: DenseTensor(elements, shape: [2, 3, 4]), .tolerance(0))
    }
    elements[5] = .nan
    let error = #expect(throws: TensorError.self) {
      try TuckerDecomposition(of: DenseTensor(elements, shape: [2, 3, 4]), .ranks([1, 1, 1]))
    }
    #expect(
      error?.description
        == "the entry at [0, 1, 1] of the 2 × 3 × 4 tensor is not finite; leave out the module it comes from")
  }
}
