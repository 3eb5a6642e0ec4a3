/// Random numbers that are a function of a key and a counter: Philox 4x32-10.
///
/// Any part of a stream can be drawn without the parts before it, so a sketch depends on the seed and on what
/// is sketched, never on which rank draws it or in what order. Salmon, Moraes, Dror and Shaw, *Parallel Random
/// Numbers: As Easy as 1, 2, 3* (SC 2011).
public struct CounterRandom: Sendable {
  private let key: (UInt32, UInt32)

  /// A stream for one purpose: the job's seed, and the name of what is drawn for.
  public init(seed: UInt64, name: String) {
    // FNV-1a spreads the name over the key; equal names with equal seeds are the same stream on purpose.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325 ^ seed
    for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    hash = (hash ^ seed) &* 0x100_0000_01b3
    key = (UInt32(truncatingIfNeeded: hash), UInt32(truncatingIfNeeded: hash >> 32))
  }

  package init(key: (UInt32, UInt32)) { self.key = key }

  /// Four words at a counter.
  package func words(_ counter: SIMD4<UInt32>) -> SIMD4<UInt32> {
    var state = counter
    var (key0, key1) = key
    for _ in 0..<10 {
      let product0 = UInt64(0xD251_1F53) * UInt64(state[0])
      let product1 = UInt64(0xCD9E_8D57) * UInt64(state[2])
      state = SIMD4(
        UInt32(truncatingIfNeeded: product1 >> 32) ^ state[1] ^ key0, UInt32(truncatingIfNeeded: product1),
        UInt32(truncatingIfNeeded: product0 >> 32) ^ state[3] ^ key1, UInt32(truncatingIfNeeded: product0))
      key0 &+= 0x9E37_79B9
      key1 &+= 0xBB67_AE85
    }
    return state
  }

  /// Fills a block with independent numbers of variance 1/3, uniform in (−1, 1).
  ///
  /// Uniform rather than normal: a Krylov start needs no more, and it takes no logarithm whose last bit
  /// depends on the C library. `block` separates the draws of one stream.
  package func fillUniform(_ view: MatrixView<Float>, block: Int) {
    for row in 0..<view.rowCount {
      let elements = view.row(row)
      for start in stride(from: 0, to: view.columnCount, by: 4) {
        let counter = SIMD4(
          UInt32(truncatingIfNeeded: start / 4), UInt32(truncatingIfNeeded: row),
          UInt32(truncatingIfNeeded: block), 0)
        let drawn = words(counter)
        for lane in 0..<min(4, view.columnCount - start) {
          // 23 random bits and a half, exact in a float: symmetric about zero, and zero is never drawn.
          elements[start + lane] = (Float(drawn[lane] >> 9) + 0.5) * 0x1p-22 - 1
        }
      }
    }
  }
}

extension CounterRandom {
  /// Fills a block with independent numbers of mean 0 and variance 1, nearly normal.
  ///
  /// Each is the sum of eight uniform numbers of 16 bits, exact in a double: a true normal takes a logarithm,
  /// whose last bit depends on the C library. The tails end at 4.9. `block` separates the draws of one stream.
  package func fillNormal(_ view: MatrixView<Double>, block: Int) {
    let scale = (3.0 / 2).squareRoot() * 0x1p-16
    for row in 0..<view.rowCount {
      let elements = view.row(row)
      for column in 0..<view.columnCount {
        let drawn = words(
          SIMD4(
            UInt32(truncatingIfNeeded: column), UInt32(truncatingIfNeeded: row),
            UInt32(truncatingIfNeeded: block), 1))
        var sum = 0
        for lane in 0..<4 { sum += Int(drawn[lane] & 0xffff) + Int(drawn[lane] >> 16) }
        // Eight numbers of mean (2¹⁶ − 1)/2.
        elements[column] = Double(sum - 4 * 0xffff) * scale
      }
    }
  }
}

extension Matrix where Element == Double {
  /// A matrix of independent, nearly normal numbers.
  package init(normal random: CounterRandom, rows rowCount: Int, columns columnCount: Int, block: Int = 0) {
    self.init(uninitializedRows: rowCount, columns: columnCount)
    random.fillNormal(view, block: block)
  }
}

extension Matrix where Element == Float {
  /// A matrix of independent numbers uniform in (−1, 1).
  public init(uniform random: CounterRandom, rows rowCount: Int, columns columnCount: Int) {
    self.init(uninitializedRows: rowCount, columns: columnCount)
    random.fillUniform(view, block: 0)
  }
}
