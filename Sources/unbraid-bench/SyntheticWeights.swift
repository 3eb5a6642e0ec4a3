import LinearAlgebra

/// Weights and differences like those of real models, the same on every machine for one seed.
struct SyntheticWeights {
  private let random: CounterRandom

  init(seed: UInt64, name: String) { random = CounterRandom(seed: seed, name: name) }

  /// Independent numbers of nearly normal distribution (four uniform ones added) and this deviation.
  func noise(rows: Int, columns: Int, deviation: Float, stream: Int) -> Matrix<Float> {
    let sum = Matrix<Float>(repeating: 0, rows: rows, columns: columns)
    let part = Matrix<Float>(uninitializedRows: rows, columns: columns)
    // Four numbers uniform in (−1, 1) have variance 4/3.
    let scale = deviation * Float(0.75).squareRoot()
    for draw in 0..<4 {
      random.fillUniform(part.view, block: stream * 4 + draw)
      for row in 0..<rows {
        let (total, drawn) = (sum.view.row(row), part.view.row(row))
        for column in 0..<columns { total[column] += scale * drawn[column] }
      }
    }
    return sum
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
