import Adapters
import LinearAlgebra
import TestSupport
import Testing
import WeightSources

/// What selections leave, from the certificate and from the definition in double precision.
@Suite struct SelectionCertificateTests {
  private static let selections: [[Int]] = [
    [], [0], [0, 1, 2, 3], [3, 4, 5, 6, 7], [1, 4, 5, 11], Array(0..<12).filter { $0 != 6 }, Array(0..<12),
  ]

  @Test(
    "every selection's residual is its definition to 1e-7 of the norm, for every type, shape and layout",
    arguments: [FactorType.f32, .bf16, .f16], [(70, 40), (40, 70), (3000, 30), (30, 3000)])
  func residuals(type: FactorType, shape: (Int, Int)) throws {
    for layout in [WeightLayout.outputByInput, .inputByOutput] {
      let matrix = TestMatrices.noise(rows: shape.0, columns: shape.1)
      let factors = try factors(of: matrix, layout, type)
      for kept in Self.selections {
        try expectDefinition(kept, factors, matrix, layout, type)
      }
    }
  }

  @Test(
    "a residual far below the difference keeps its digits", arguments: [FactorType.f32, .bf16, .f16])
  func smallResiduals(type: FactorType) throws {
    // Twelve triplets are all there is: what a selection leaves falls to 1e-5 of σ₁, and to the rounding.
    let spectrum = (0..<12).map { 3 * Double(sign: .plus, exponent: -$0 * 3 / 2, significand: 1) }
    let matrix = TestMatrices.withSpectrum(spectrum, rows: 60, columns: 50)
    let factors = try factors(of: matrix, .outputByInput, type)
    for count in 0...12 {
      try expectDefinition(Array(0..<count), factors, matrix, .outputByInput, type)
    }
  }

  @Test("a selection's bytes are those of the same columns, and all of them are the factors themselves")
  func bytes() throws {
    let matrix = TestMatrices.noise(rows: 20, columns: 16)
    let factors = try factors(of: matrix, .outputByInput, .f32)
    #expect(factors.selecting([], outputCount: 20) == nil)
    let all = try #require(factors.selecting(Array(0..<12), outputCount: 20))
    #expect(all.a == factors.a && all.b == factors.b && all.residualEnergy == factors.residualEnergy)
    let some = try #require(factors.selecting([2, 3, 9], outputCount: 20))
    for (place, index) in [2, 3, 9].enumerated() {
      #expect(some.a[place * 64..<(place + 1) * 64] == factors.a[index * 64..<(index + 1) * 64])
      for row in 0..<20 {
        let (new, old) = ((row * 3 + place) * 4, (row * 12 + index) * 4)
        #expect(some.b[new..<new + 4] == factors.b[old..<old + 4])
      }
    }
  }

  @Test("with a certificate the explicit residual has the same bits as without")
  func sameResidual() throws {
    var matrix = TestMatrices.noise(rows: 3000, columns: 40)
    let svd = try TruncatedSVD(of: &matrix, options: .init(rank: 8))
    let plain = try LoRAFactors(
      svd, of: matrix, layout: .outputByInput, factorType: .bf16, module: "m")
    let certified = try LoRAFactors(
      svd, of: matrix, layout: .outputByInput, factorType: .bf16, module: "m", certifiesSelections: true)
    #expect(plain.certificate == nil)
    #expect(certified.residualEnergy == plain.residualEnergy)
    #expect(certified.certificate?.residualEnergy == plain.residualEnergy)
  }

  @Test("what is not finite leaves no residual of zero")
  func notFinite() throws {
    let bytes = [Double.nan, 1, 1].flatMap { value in
      (0..<8).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) }
    }
    let certificate = SelectionCertificate(decoding: bytes[...], count: 1)
    #expect(certificate.residualEnergy(keeping: []).isNaN && certificate.residualEnergy(keeping: [0]).isNaN)
  }

  private func factors(of matrix: borrowing Matrix<Float>, _ layout: WeightLayout, _ type: FactorType) throws
    -> LoRAFactors
  {
    var copy = matrix.firstRows(matrix.rowCount)
    let svd = try TruncatedSVD(of: &copy, options: .init(rank: 12, method: .gram))
    return try LoRAFactors(
      svd, of: copy, layout: layout, factorType: type, module: "m", certifiesSelections: true)
  }

  private func expectDefinition(
    _ kept: [Int], _ factors: LoRAFactors, _ matrix: borrowing Matrix<Float>, _ layout: WeightLayout,
    _ type: FactorType
  ) throws {
    let certificate = try #require(factors.certificate)
    let (rows, columns) = matrix.shape
    let (input, output) = layout == .outputByInput ? (columns, rows) : (rows, columns)
    let a = type.elementType.decode(factors.a, rows: factors.rank, columns: input)
    let b = type.elementType.decode(factors.b, rows: output, columns: factors.rank)
    var explicit = 0.0
    for row in 0..<rows {
      for column in 0..<columns {
        let (out, into) = layout == .outputByInput ? (row, column) : (column, row)
        var entry = Double(matrix[row, column])
        for index in kept { entry -= Double(b[out, index]) * Double(a[index, into]) }
        explicit += entry * entry
      }
    }
    let found = certificate.residualEnergy(keeping: kept)
    let error = abs(found.squareRoot() - explicit.squareRoot())
    #expect(
      error < 1e-7 * matrix.sumOfSquares().squareRoot(),
      "\(kept) of \(matrix.shape): \(found), explicitly \(explicit)")
  }
}
