import Foundation

/// The decay of singular values that a benchmark runs on.
enum Spectrum: String, CaseIterable {
  case power03 = "power-0.3"
  case power05 = "power-0.5"
  case spikes, noise

  /// Root mean square of the entries, that of a full fine-tune's differences.
  private static let entrySize = 2e-4

  /// All min(m, n) singular values of a matrix of this shape, descending.
  func values(rows: Int, columns: Int) -> [Double] {
    let count = min(rows, columns)
    let ratio = Double(count) / Double(max(rows, columns))
    let relative: [Double]
    switch self {
    case .power03: relative = (1...count).map { pow(Double($0), -0.3) }
    case .power05: relative = (1...count).map { pow(Double($0), -0.5) }
    case .noise: relative = noiseQuantiles(count: count, ratio: ratio)
    case .spikes: relative = spikedQuantiles(count: count, ratio: ratio)
    }
    let energy = relative.reversed().reduce(0) { $0 + $1 * $1 }
    let scale = Self.entrySize * (Double(rows * columns) / energy).squareRoot()
    return relative.map { $0 * scale }
  }
}

/// 48 spikes in even steps from seven times the edge of a bulk of noise down to a tenth of it.
private func spikedQuantiles(count: Int, ratio: Double) -> [Double] {
  let spikeCount = min(48, count)
  let edge = 1 + ratio.squareRoot()
  let spikes = (0..<spikeCount).map { edge * (7 - 6.9 * Double($0) / Double(spikeCount)) }
  return (spikes + noiseQuantiles(count: count - spikeCount, ratio: ratio)).sorted(by: >)
}

/// The singular values that an l × s matrix of independent entries of variance 1/l has in the limit, descending.
///
/// Quantiles of the law of Marchenko and Pastur for y = s/l, of the squares x = 1 + y + 2√y·cos θ. In θ its
/// density is the smooth 2·sin²θ / (πx), which is summed by the midpoint rule from the largest value down.
private func noiseQuantiles(count: Int, ratio: Double) -> [Double] {
  let steps = 1 << 18
  let width = Double.pi / Double(steps)
  var result: [Double] = []
  result.reserveCapacity(count)
  var mass = 0.0
  for step in 0..<steps {
    let angle = (Double(step) + 0.5) * width
    let square = 1 + ratio + 2 * ratio.squareRoot() * cos(angle)
    mass += 2 * sin(angle) * sin(angle) / (.pi * square) * width
    while result.count < count && mass * Double(count) >= Double(result.count) + 0.5 {
      result.append(square.squareRoot())
    }
  }
  while result.count < count { result.append(result.last ?? 1) }
  return result
}
