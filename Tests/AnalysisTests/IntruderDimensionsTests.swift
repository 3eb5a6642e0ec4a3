import Analysis
import LinearAlgebra
import TestSupport
import Testing

@Suite struct IntruderDimensionsTests {
  private static func base(_ rows: Int, _ columns: Int) -> Matrix<Float> {
    TestMatrices.withSpectrum(
      (0..<min(rows, columns)).map { 4 / (1 + 0.3 * Double($0)) }, rows: rows, columns: columns, seed: 5)
  }

  private static func sum(_ one: borrowing Matrix<Float>, _ other: borrowing Matrix<Float>) -> Matrix<Float> {
    Matrix(zip(one.elements, other.elements).map { $0 + $1 }, rows: one.rowCount, columns: one.columnCount)
  }

  @Test(
    "planted directions are intruders, and as many as were planted",
    arguments: [(160, 160), (120, 300), (300, 120)])
  func planted(rows: Int, columns: Int) throws {
    let base = Self.base(rows, columns)
    for count in [0, 1, 3] {
      let strengths = (0..<count).map { 9 + Double($0) }
      let update = TestMatrices.withSpectrum(strengths, rows: rows, columns: columns, seed: 8)
      let found = try IntruderDimensions(of: Self.sum(base, update), against: base, count: 10)
      #expect(found.directions.count == 10)
      #expect(found.count(below: 0.5) == count)
      #expect(found.directions.prefix(count).allSatisfy { $0.singularValue > 8.5 && $0.largestCosine < 0.5 })
    }
  }

  @Test("more of what the base has is no intruder", arguments: [(80, 60), (60, 80)])
  func amplified(rows: Int, columns: Int) throws {
    let base = Self.base(rows, columns)
    let doubled = Self.sum(base, base)
    let found = try IntruderDimensions(of: doubled, against: base, count: 100)
    #expect(found.directions.count == 60)
    #expect(found.directions.prefix(40).allSatisfy { abs($0.largestCosine - 1) < 1e-6 })
    #expect(abs(found.directions[0].singularValue - 8) < 1e-4)
  }

  @Test(
    "cosines are those with all of the base's vectors, from either side",
    arguments: [(30, 50), (50, 30), (40, 40)])
  func cosines(rows: Int, columns: Int) throws {
    let base = TestMatrices.noise(rows: rows, columns: columns, seed: 1)
    let tuned = Self.sum(base, TestMatrices.noise(rows: rows, columns: columns, seed: 2))
    let old = try DenseSVD(of: base)
    let new = try DenseSVD(of: tuned)
    let found = try IntruderDimensions(of: tuned, against: base, count: 5)
    for (index, direction) in found.directions.enumerated() {
      let largest = (0..<min(rows, columns)).map { other in
        abs((0..<rows).reduce(0) { $0 + Double(new.u[$1, index]) * Double(old.u[$1, other]) })
      }.max()
      #expect(abs(direction.largestCosine - (largest ?? 0)) < 1e-4)
      #expect(abs(direction.singularValue - Double(new.s[index])) < 1e-4)
    }
  }
}
