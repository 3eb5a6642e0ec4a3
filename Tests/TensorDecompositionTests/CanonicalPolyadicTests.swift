import LinearAlgebra
import TensorDecomposition
import Testing

@Suite struct CanonicalPolyadicTests {
  @Test(
    "planted components are found under noise",
    arguments: [[40, 36, 16], [18, 14, 10, 8]], [(0.0, 0.1), (0.7, 0.01), (0.9, 0.001)])
  func planted(shape: [Int], difficulty: (congruence: Double, noise: Double)) throws {
    let model = PlantedTensor.model(shape, rank: 8, congruence: difficulty.congruence, seed: 1)
    let tensor = PlantedTensor.withNoise(model.reconstructed(), difficulty.noise, seed: 2)
    let result = try CanonicalPolyadic(of: tensor, rank: 8)
    let report = result.report
    #expect(FactorMatch(model, result.model).score > 0.99)
    // The best fit is no worse than the truth.
    #expect(report.residual <= model.residual(of: tensor) * (1 + 1e-9))
    #expect(abs(report.residual - result.model.residual(of: tensor)) <= 1e-12 * tensor.squaredNorm)
    #expect(report.runs.count == 20 && report.runs.count { $0.isConverged } >= 3)
    #expect(try #require(report.matchOfBestTwo) > 0.999 && !report.isDegenerate)
    #expect(report.notes.isEmpty)
  }

  @Test("exact data are fitted to rounding, by Jennrich's start already")
  func exact() throws {
    let model = PlantedTensor.model([12, 10, 6], rank: 5, congruence: 0.5, seed: 3)
    let result = try CanonicalPolyadic(of: model.reconstructed(), rank: 5)
    #expect(result.report.relativeError < 1e-7 && FactorMatch(model, result.model).score > 1 - 1e-7)
    let pencils = result.report.runs.filter { $0.start == .pencil }
    #expect(pencils.count == 4 && (pencils.map(\.shortError).min() ?? 1) < 1e-6)
  }

  @Test("core consistency is about 100 at the right rank and low above it")
  func coreConsistency() throws {
    let model = PlantedTensor.model([20, 18, 12], rank: 3, congruence: 0.3, seed: 4)
    let tensor = PlantedTensor.withNoise(model.reconstructed(), 0.05, seed: 5)
    let right = try #require(try CanonicalPolyadic(of: tensor, rank: 3).report.coreConsistency)
    let tooLarge = try #require(try CanonicalPolyadic(of: tensor, rank: 6).report.coreConsistency)
    #expect(right > 98 && right <= 100 + 1e-9)
    #expect(tooLarge < 50)
  }

  @Test("a tensor of rank three and border rank two is flagged, and a ridge keeps its components apart")
  func degenerate() throws {
    // a⊗a⊗b + a⊗b⊗a + b⊗a⊗a: sums of two terms come as near as one likes and never there.
    let tensor = DenseTensor([0, 1, 1, 0, 1, 0, 0, 0], shape: [2, 2, 2])
    let result = try CanonicalPolyadic(of: tensor, rank: 2)
    let report = result.report
    #expect(report.isDegenerate && report.weightRatio > 10)
    let pair = try #require(report.extremePair)
    #expect(pair.first == 0 && pair.second == 1 && pair.congruence < -0.99)
    #expect(report.notes.contains { $0.hasPrefix("degenerate: ") })
    let third = try CanonicalPolyadic(of: tensor, rank: 3)
    #expect(third.report.relativeError < 1e-6)

    var options = CanonicalPolyadic.Options()
    options.ridge = 1e-2
    let bounded = try CanonicalPolyadic(of: tensor, rank: 2, options: options).report
    #expect(!bounded.isDegenerate && bounded.relativeError < 0.6)
  }

  @Test("the same seed gives the same bits, another one other runs")
  func determinism() throws {
    let tensor = PlantedTensor.withNoise(
      PlantedTensor.model([9, 8, 7], rank: 3, congruence: 0.4, seed: 6).reconstructed(), 0.3, seed: 7)
    let (first, second) = (
      try CanonicalPolyadic(of: tensor, rank: 3), try CanonicalPolyadic(of: tensor, rank: 3)
    )
    #expect(first.model.weights == second.model.weights)
    for (one, other) in zip(first.model.factors, second.model.factors) {
      #expect(one.matrix.elements == other.matrix.elements)
    }
    var options = CanonicalPolyadic.Options()
    options.random = CounterRandom(seed: 1, name: "cp")
    let third = try CanonicalPolyadic(of: tensor, rank: 3, options: options)
    #expect(third.report.runs.map(\.shortError) != first.report.runs.map(\.shortError))
    #expect(FactorMatch(first.model, third.model).score > 0.9999)
  }

  @Test("zero, one slice, one mode of one, too large a rank: defined, with a note")
  func corners() throws {
    let zero = try CanonicalPolyadic(
      of: DenseTensor(Array(repeating: 0, count: 24), shape: [2, 3, 4]), rank: 2)
    #expect(zero.model.weights == [0, 0] && zero.report.relativeError == 0 && !zero.report.isDegenerate)
    #expect(zero.report.notes == ["the tensor is zero"])

    let slice = try CanonicalPolyadic(of: PlantedTensor.noise([6, 5, 1]), rank: 2)
    let tucker = try TuckerDecomposition(of: PlantedTensor.noise([6, 5, 1]), .ranks([2, 2, 1]))
    // One slice is a matrix, whose best rank two is that of its SVD.
    #expect(abs(slice.report.relativeError / tucker.report.relativeError - 1) < 1e-6)
    #expect(slice.report.notes.contains { $0.hasSuffix("components of a matrix are not unique") })

    let small = try CanonicalPolyadic(of: PlantedTensor.noise([3, 2, 2]), rank: 50)
    #expect(small.model.rank == 4)
    #expect(small.report.notes.first == "rank 50 became 4, which is enough for any 3 × 2 × 2 tensor")
    #expect(small.report.relativeError < 1e-4)

    let single = try CanonicalPolyadic(of: PlantedTensor.noise([4, 3, 2]), rank: 1)
    #expect(single.report.extremePair == nil && abs(single.report.weightRatio) < 1)
  }

  @Test("bad requests and entries are refused in a sentence")
  func refusals() {
    #expect(throws: TensorError.rankTooSmall(0)) {
      try CanonicalPolyadic(of: PlantedTensor.noise([2, 2, 2]), rank: 0)
    }
    #expect(throws: TensorError.notFinite(indices: [1, 1, 1], shape: [2, 2, 2])) {
      try CanonicalPolyadic(of: DenseTensor([1, 2, 3, 4, 5, 6, 7, .nan], shape: [2, 2, 2]), rank: 1)
    }
    #expect(TensorError.rankTooSmall(0).description == "a rank of 0 was asked for; it must be 1 or more")
    #expect(
      TensorError.modeCount(given: 2, modes: 3).description
        == "2 ranks were given for a tensor of 3 modes; give one a mode")
    #expect(TensorError.tolerance(2).description == "the tolerance is 2.0; it must be above 0 and below 1")
  }

  @Test("scale does not matter: entries of 1e-12 and 1e12 give the same components")
  func scale() throws {
    let model = PlantedTensor.model([10, 9, 8], rank: 3, congruence: 0.5, seed: 8)
    let tensor = PlantedTensor.withNoise(model.reconstructed(), 0.1, seed: 9)
    let plain = try CanonicalPolyadic(of: tensor, rank: 3).report
    for factor in [1e-12, 1e12] {
      let scaled = try CanonicalPolyadic(
        of: DenseTensor(tensor.elements.map { $0 * factor }, shape: tensor.shape), rank: 3)
      let expected = KruskalTensor(weights: model.weights.map { $0 * factor }, factors: model.factors)
      #expect(FactorMatch(scaled.model, expected).score > 0.97)
      for (run, other) in zip(scaled.report.runs, plain.runs) where other.isConverged {
        #expect(run.isConverged && run.steps > 0 && abs((run.error ?? 0) - (other.error ?? 1)) < 1e-9)
      }
    }
  }

  @Test("two patterns with different layer profiles are told apart, and one of them can be dropped")
  func patterns() throws {
    // X and Y are sums of eight terms each; X acts in the early layers and Y in the late ones.
    let (length, layers, each) = (30, 16, 8)
    let model = PlantedTensor.model([length, length + 4, layers], rank: 2 * each, congruence: 0, seed: 10)
    let profiles = (0..<2 * each).flatMap { term in
      (0..<layers).map { layer -> Double in
        // Terms of a pattern differ in their profile a little: equal ones leave a rotation free.
        let isFirst = term < each
        let reach = (isFirst ? layers - layer : layer + 1) + (layer * (term + 3)) % 11
        return Double(reach) / Double(layers)
      }
    }
    let planted = KruskalTensor(
      weights: model.weights,
      factors: Array(model.factors.prefix(2)) + [
        SharedMatrix(Matrix(profiles, rows: 2 * each, columns: layers))
      ])
    let tensor = PlantedTensor.withNoise(planted.reconstructed(), 0.01, seed: 11)
    let found = try CanonicalPolyadic(of: tensor, rank: 2 * each)
    let match = FactorMatch(planted.normalized(), found.model)
    #expect(match.score > 0.99)
    // What is left without the components matched to Y is X.
    let first = planted.selecting(Array(0..<each))
    let partners = FactorMatch(first.normalized(), found.model).partners.compactMap { $0 }
    let left = found.model.selecting(partners.sorted())
    let error = left.residual(of: first.reconstructed()) / first.squaredNorm
    #expect(error.squareRoot() < 0.05)
  }
}
