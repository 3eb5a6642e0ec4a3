import LinearAlgebra

/// Weights and differences like those of real models, the same on every machine for one seed.
struct SyntheticWeights {
  private let random: CounterRandom

  init(seed: UInt64, name: String) { random = CounterRandom(seed: seed, name: name) }

  /// Independent numbers of nearly normal distribution (the four bytes of a word added) and this deviation.
  func noise(rows: Int, columns: Int, deviation: Float, stream: UInt32) -> Matrix<Float> {
    let result = Matrix<Float>(uninitializedRows: rows, columns: columns)
    // A byte has variance (256² − 1) / 12, and four of them have mean 510.
    let scale = deviation / Float(4 * 65535.0 / 12).squareRoot()
    let evenBytes = SIMD4<UInt32>(repeating: 0x00FF_00FF)
    for row in 0..<rows {
      let entries = result.view.row(row)
      for start in stride(from: 0, to: columns, by: 4) {
        let words = random.words(SIMD4(UInt32(start / 4), UInt32(row), stream, 0))
        let pairs = (words & evenBytes) &+ ((words &>> 8) & evenBytes)
        let sums = SIMD4<Int32>(truncatingIfNeeded: (pairs & 0xFFFF) &+ (pairs &>> 16))
        let drawn = (SIMD4<Float>(sums) - 510) * scale
        for lane in 0..<min(4, columns - start) { entries[start + lane] = drawn[lane] }
      }
    }
    return result
  }

  /// 48 spikes over a bulk of noise, as a full fine-tune rounded to bf16 looks: some spikes stand clear of the
  /// bulk, some lie inside it.
  func spikedDelta(rows: Int, columns: Int) -> Matrix<Float> {
    let spikeCount = 48
    let heights = (0..<spikeCount).map { spike in
      (3 - 2.95 * Float(spike) / Float(spikeCount - 1)) * 1e-4 / Float(spikeCount).squareRoot()
    }
    let left = noise(rows: rows, columns: spikeCount, deviation: 1, stream: 1)
    var weighted = Matrix<Float>(uninitializedRows: rows, columns: spikeCount)
    left.scaleColumns(by: heights, into: &weighted)
    let right = noise(rows: spikeCount, columns: columns, deviation: 1, stream: 2)
    let delta = noise(rows: rows, columns: columns, deviation: 2e-4, stream: 3)
    multiply(weighted.view, right.view, into: delta.view, beta: 1)
    return delta
  }
}
