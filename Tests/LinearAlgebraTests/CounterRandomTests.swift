import LinearAlgebra
import Testing

@Suite struct CounterRandomTests {
  @Test("Philox 4x32-10 gives the published vectors")
  func knownAnswers() {
    // From the Random123 distribution's kat_vectors.
    let zero = CounterRandom(key: (0, 0)).words(SIMD4(0, 0, 0, 0))
    #expect(zero == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    let ones = CounterRandom(key: (.max, .max)).words(SIMD4(.max, .max, .max, .max))
    #expect(ones == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    let pi = CounterRandom(key: (0xa409_3822, 0x299f_31d0))
      .words(SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344))
    #expect(pi == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  @Test("numbers are symmetric, in range, never zero, and differ by seed, name and block")
  func distribution() {
    let stream = CounterRandom(seed: 1, name: "a")
    let block = Matrix<Float>(uniform: stream, rows: 100, columns: 999)
    let values = block.elements
    #expect(values.allSatisfy { $0 > -1 && $0 < 1 && $0 != 0 })
    let mean = values.reduce(0.0) { $0 + Double($1) } / Double(values.count)
    let square = values.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(values.count)
    // Five standard deviations of the means of 99 900 numbers of variance 1/3 and 4/45.
    #expect(abs(mean) < 5 * 0.0018 && abs(square - 1.0 / 3) < 5 * 0.00095)
    for other in [CounterRandom(seed: 2, name: "a"), CounterRandom(seed: 1, name: "b")] {
      #expect(Matrix<Float>(uniform: other, rows: 1, columns: 8).elements != Array(values.prefix(8)))
    }
    let next = Matrix<Float>(uninitializedRows: 1, columns: 8)
    stream.fillUniform(next.view, block: 1)
    #expect(next.elements != Array(values.prefix(8)))
  }

  @Test("nearly normal numbers have the moments of normal ones, and differ by block")
  func normal() {
    let stream = CounterRandom(seed: 1, name: "a")
    let values = Matrix<Double>(normal: stream, rows: 100, columns: 999).elements
    let count = Double(values.count)
    let moments = (1...4).map { power in
      values.reduce(0.0) { sum, value in sum + (0..<power).reduce(1.0) { product, _ in product * value } }
        / count
    }
    // Five standard deviations of the means; a sum of eight uniform numbers has fourth moment 3 − 6/40.
    #expect(abs(moments[0]) < 5 / count.squareRoot() && abs(moments[1] - 1) < 5 * (2 / count).squareRoot())
    #expect(abs(moments[2]) < 5 * (15 / count).squareRoot())
    #expect(abs(moments[3] - 2.85) < 5 * (96 / count).squareRoot())
    let other = Matrix<Double>(normal: stream, rows: 1, columns: 8, block: 1)
    #expect(other.elements != Array(values.prefix(8)))
  }
}
