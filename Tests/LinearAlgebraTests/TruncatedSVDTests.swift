import Foundation
import LinearAlgebra
import TestSupport
import Testing

@Suite struct TruncatedSVDTests {
  /// Spectra from easy to hopeless, at a size where an exact answer takes a moment.
  enum Kind: String, CaseIterable {
    case slowPowerLaw, powerLaw, steepPowerLaw, cliff, spikes, noise

    func matrix(rows: Int, columns: Int) -> Matrix<Float> {
      let short = min(rows, columns)
      switch self {
      case .slowPowerLaw:
        return TestMatrices.withSpectrum(
          TestMatrices.powerLaw(0.3, count: short), rows: rows, columns: columns)
      case .powerLaw:
        return TestMatrices.withSpectrum(
          TestMatrices.powerLaw(0.5, count: short), rows: rows, columns: columns)
      case .steepPowerLaw:
        return TestMatrices.withSpectrum(TestMatrices.powerLaw(2, count: short), rows: rows, columns: columns)
      case .cliff:
        let spectrum = (0..<short).map { $0 < 40 ? 1.0 : 1e-4 }
        return TestMatrices.withSpectrum(spectrum, rows: rows, columns: columns)
      case .spikes:
        let spectrum = (0..<short).map {
          index -> Double in
          let position = Double(index)
          return index < 48 ? 3 - 0.04 * position : 1 - 0.9 * position / Double(short)
        }
        return TestMatrices.withSpectrum(spectrum, rows: rows, columns: columns)
      case .noise: return TestMatrices.noise(rows: rows, columns: columns)
      }
    }
  }

  @Test(
    "captures 0.999 of the best rank k, with an honest estimate, on every spectrum and method",
    arguments: Kind.allCases, [TruncatedSVD.Method.krylov, .gram, .dense])
  func capturesEnergy(kind: Kind, method: TruncatedSVD.Method) throws {
    for (rows, columns) in [(700, 500), (500, 700), (512, 512)] {
      var matrix = kind.matrix(rows: rows, columns: columns)
      let exact = try ExactSpectrum(of: matrix)
      for rank in [8, 32, 64] {
        let svd = try TruncatedSVD(
          of: &matrix,
          options: .init(rank: rank, method: method, random: CounterRandom(seed: 3, name: kind.rawValue)))
        let optimum = exact.optimum(rank: rank)
        let loss = 1 - svd.report.capturedEnergy / optimum
        #expect(loss <= 1e-3, "\(kind) \(method) \(rows)×\(columns) rank \(rank)")
        #expect(
          svd.report.estimatedLoss >= loss / 2, "\(kind) \(method) rank \(rank): \(svd.report) loss \(loss)")
        #expect(svd.report.isConverged)
      }
    }
  }

  @Test("residual, orthogonality and order hold by definition", arguments: Kind.allCases)
  func definition(kind: Kind) throws {
    var matrix = kind.matrix(rows: 400, columns: 300)
    for method in [TruncatedSVD.Method.krylov, .gram, .dense] {
      let svd = try TruncatedSVD(of: &matrix, options: .init(rank: 50, method: method))
      // Single precision: a few units of 2⁻²⁴ times √n, with room for the worst of k² inner products.
      #expect(orthogonalityError(ofRows: svd.vh) < 2e-6)
      #expect(orthogonalityError(ofRows: svd.u.transposed()) < 2e-6)
      #expect(zip(svd.s, svd.s.dropFirst()).allSatisfy { $0 >= $1 })
      var weighted = Matrix<Float>(uninitializedRows: 400, columns: svd.rank)
      svd.u.scaleColumns(by: svd.s.map { Float($0) }, into: &weighted)
      let explicit = residualSumOfSquares(of: matrix, minus: weighted, times: svd.vh).squareRoot()
      let reported = svd.report.residualEnergy.squareRoot()
      let norm = svd.report.energy.squareRoot()
      // 1e-4 of the residual, or rounding of the product U·Σ·Vᵀ where the residual itself is rounding.
      #expect(abs(explicit - reported) <= 1e-4 * explicit + 1e-6 * norm, "\(kind) \(method)")
    }
  }

  @Test("singular values match those the matrix was built with")
  func knownValues() throws {
    let spectrum = TestMatrices.powerLaw(1, count: 30)
    for (rows, columns) in [(120, 90), (90, 120)] {
      var matrix = TestMatrices.withSpectrum(spectrum, rows: rows, columns: columns)
      let svd = try TruncatedSVD(of: &matrix, options: .init(rank: 30))
      for (found, built) in zip(svd.s, spectrum) { #expect(abs(found - built) < 1e-6) }
    }
  }

  /// Differences whose own rank lies not far above k, so that the iteration goes on when nothing is left to find.
  enum Exhausted: CaseIterable {
    case lowRank, fewColumns, fewRows, mergedLoRA

    func matrix() -> Matrix<Float> {
      let (rows, columns) = (900, 600)
      switch self {
      case .lowRank:
        let spectrum = (0..<48).map { pow(0.93, Double($0)) }
        return TestMatrices.withSpectrum(spectrum, rows: rows, columns: columns)
      case .fewColumns:
        var matrix = TestMatrices.noise(rows: rows, columns: columns)
        for row in 0..<rows {
          for column in 0..<columns {
            matrix[row, column] *= column < 40 ? Float(pow(0.9, Double(column))) : 0
          }
        }
        return matrix
      case .fewRows:
        var matrix = TestMatrices.noise(rows: rows, columns: columns)
        for row in 40..<rows { for column in 0..<columns { matrix[row, column] = 0 } }
        return matrix
      case .mergedLoRA:
        let update = TestMatrices.withSpectrum(
          (0..<48).map { pow(0.95, Double($0)) }, rows: rows, columns: columns)
        let weights = TestMatrices.noise(rows: rows, columns: columns, seed: 2)
        var matrix = Matrix<Float>(uninitializedRows: rows, columns: columns)
        for row in 0..<rows {
          for column in 0..<columns {
            matrix[row, column] = (weights[row, column] + update[row, column]) - weights[row, column]
          }
        }
        return matrix
      }
    }
  }

  @Test(
    "an iteration that goes on beyond the matrix's own rank finds no more than there is",
    arguments: Exhausted.allCases, [8, 16])
  func exhausted(kind: Exhausted, rank: Int) throws {
    var matrix = kind.matrix()
    let optimum = try ExactSpectrum(of: matrix).optimum(rank: rank)
    let svd = try TruncatedSVD(of: &matrix, options: .init(rank: rank, method: .krylov))
    #expect(svd.rank == rank && svd.report.isConverged)
    // Rounding of single precision in the energies, with a margin of ten.
    #expect(svd.report.capturedEnergy <= optimum * (1 + 1e-5))
    #expect(svd.report.capturedEnergy >= optimum * (1 - 1e-3))
    #expect(1 - svd.report.capturedEnergy / optimum <= 2 * svd.report.estimatedLoss)
    #expect(orthogonalityError(ofRows: svd.vh) < 1e-5)
    #expect(orthogonalityError(ofRows: svd.u.transposed()) < 1e-5)
  }

  @Test("a matrix of low rank gets its true rank", arguments: TruncatedSVD.Method.allCases)
  func trueRank(method: TruncatedSVD.Method) throws {
    for (rows, columns, rank) in [(900, 800, 5), (100, 60, 1), (60, 100, 17)] {
      let spectrum = (0..<rank).map { 1.0 / Double($0 + 1) }
      var matrix = TestMatrices.withSpectrum(spectrum, rows: rows, columns: columns)
      let svd = try TruncatedSVD(of: &matrix, options: .init(rank: 32, method: method))
      #expect(svd.rank == rank, "\(rows)×\(columns)")
      #expect(svd.report.residualEnergy.squareRoot() < 1e-5)
      #expect(orthogonalityError(ofRows: svd.vh) < 2e-6)
    }
  }

  @Test("a matrix of zeros has rank 0 and nothing is NaN", arguments: TruncatedSVD.Method.allCases)
  func zero(method: TruncatedSVD.Method) throws {
    var matrix = Matrix<Float>(repeating: 0, rows: 40, columns: 30)
    let svd = try TruncatedSVD(of: &matrix, options: .init(rank: 4, method: method))
    #expect(svd.rank == 0)
    #expect(svd.u.shape == (40, 0))
    #expect(svd.vh.shape == (0, 30))
    #expect(svd.report.residualEnergy == 0)
  }

  @Test("entries at the ends of single precision", arguments: [1e-38, 1e-30, 1e-12, 1e12, 1e30])
  func extremeScale(scale: Double) throws {
    let spectrum = TestMatrices.powerLaw(1, count: 64)
    var matrix = TestMatrices.withSpectrum(spectrum.map { $0 * 8 }, rows: 900, columns: 800)
    matrix.withMutableElements { elements in
      for index in elements.indices { elements[index] = Float(Double(elements[index]) * scale) }
    }
    let before = matrix.elements
    for method in [TruncatedSVD.Method.krylov, .gram, .dense] {
      let svd = try TruncatedSVD(of: &matrix, options: .init(rank: 16, method: method))
      #expect(svd.rank == 16)
      // Denormal inputs have few digits; everything else is right to single precision.
      let tolerance = scale < 1e-37 ? 1e-2 : 1e-5
      for (found, built) in zip(svd.s, spectrum) {
        #expect(abs(found / scale / 8 - built) < tolerance, "\(method) \(scale)")
      }
    }
    #expect(scale < 1e-37 || matrix.elements == before, "the matrix comes back as it was")
  }

  @Test("shapes down to one row or column")
  func smallShapes() throws {
    for (rows, columns) in [(1, 1), (1, 7), (7, 1), (2, 3), (33, 2)] {
      var matrix = TestMatrices.noise(rows: rows, columns: columns)
      for method in TruncatedSVD.Method.allCases {
        let svd = try TruncatedSVD(of: &matrix, options: .init(rank: 50, method: method))
        #expect(svd.rank == min(rows, columns))
        #expect(svd.report.residualEnergy.squareRoot() < 1e-5)
      }
    }
  }

  @Test("equal singular values, one dominant row, duplicated rows")
  func awkward() throws {
    var identity = Matrix<Float>(repeating: 0, rows: 200, columns: 200)
    for index in 0..<200 { identity[index, index] = 1 }
    let flat = try TruncatedSVD(of: &identity, options: .init(rank: 20, method: .krylov))
    #expect(flat.s.allSatisfy { abs($0 - 1) < 1e-5 } && flat.rank == 20)

    var dominant = TestMatrices.noise(rows: 300, columns: 200)
    for column in 0..<200 { dominant[17, column] *= 1e5 }
    let exact = try ExactSpectrum(of: dominant)
    let svd = try TruncatedSVD(of: &dominant, options: .init(rank: 10, method: .krylov))
    #expect(svd.report.capturedEnergy > 0.999 * exact.optimum(rank: 10))

    var repeated = TestMatrices.noise(rows: 300, columns: 200)
    for row in 0..<300 { for column in 0..<200 { repeated[row, column] = repeated[row % 6, column] } }
    #expect(try TruncatedSVD(of: &repeated, options: .init(rank: 20, method: .krylov)).rank == 6)
  }

  @Test("low rank plus a flat tail keeps its basis orthonormal", arguments: [1e-3, 1e-4, 1e-6])
  func flatTail(tail: Double) throws {
    // The case on which projecting twice before the QR loses orthogonality.
    let spectrum = (0..<900).map { $0 < 32 ? 1.0 : tail }
    var matrix = TestMatrices.withSpectrum(spectrum, rows: 1000, columns: 900)
    let svd = try TruncatedSVD(of: &matrix, options: .init(rank: 64, method: .krylov))
    #expect(orthogonalityError(ofRows: svd.vh) < 2e-6)
    #expect(orthogonalityError(ofRows: svd.u.transposed()) < 2e-6)
    #expect(svd.report.capturedEnergy > 0.9999 * 32)
  }

  @Test("the same input gives the same bits, and another seed the same energy")
  func determinism() throws {
    var matrix = Kind.powerLaw.matrix(rows: 900, columns: 800)
    let options = TruncatedSVD.Options(rank: 16, method: .krylov, random: CounterRandom(seed: 9, name: "a"))
    let first = try TruncatedSVD(of: &matrix, options: options)
    let second = try TruncatedSVD(of: &matrix, options: options)
    #expect(
      first.u.elements == second.u.elements && first.s == second.s && first.vh.elements == second.vh.elements)
    let other = try TruncatedSVD(
      of: &matrix, options: .init(rank: 16, method: .krylov, random: CounterRandom(seed: 10, name: "a")))
    #expect(abs(other.report.capturedEnergy / first.report.capturedEnergy - 1) < 1e-3)
  }

  @Test("the largest entry of each left vector is positive")
  func signs() throws {
    var matrix = Kind.powerLaw.matrix(rows: 90, columns: 120)
    let left = try TruncatedSVD(of: &matrix, options: .init(rank: 20)).u.transposed()
    for row in 0..<left.rowCount {
      let entries = (0..<left.columnCount).map { left[row, $0] }
      #expect((entries.max() ?? 0) >= -(entries.min() ?? 0))
    }
  }

  @Test("a tighter tolerance takes more passes and loses less")
  func tolerance() throws {
    var matrix = TestMatrices.noise(rows: 1000, columns: 900)
    let exact = try ExactSpectrum(of: matrix).optimum(rank: 32)
    var passes = 0
    for tolerance in [1e-1, 1e-2, 1e-3, 1e-4] {
      let svd = try TruncatedSVD(of: &matrix, options: .init(rank: 32, tolerance: tolerance, method: .krylov))
      #expect(svd.report.passes >= passes)
      passes = svd.report.passes
      #expect(1 - svd.report.capturedEnergy / exact <= tolerance)
    }
  }
}
