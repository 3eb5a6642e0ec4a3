import Initialisations
import LinearAlgebra
import TestSupport
import Testing

@Suite struct PlainUpdateTests {
  /// B·A − B₀·A₀ in double precision.
  private func change(
    _ a: borrowing Matrix<Float>, _ b: borrowing Matrix<Float>, _ a0: borrowing Matrix<Float>,
    _ b0: borrowing Matrix<Float>
  ) -> Matrix<Double> {
    let result = product(b.widened(), a.widened())
    let before = product(b0.widened(), a0.widened())
    add(before.view, times: -1, into: result.view)
    return result
  }

  private func distance(_ a: borrowing Matrix<Double>, _ b: borrowing Matrix<Double>) -> Double {
    let difference = a.copy()
    add(b.view, times: -1, into: difference.view)
    return difference.view.sumOfSquares().squareRoot()
  }

  /// Initial factors and trained ones that differ by little, as after a short training.
  private func factors(_ out: Int, _ inputs: Int, _ rank: Int, change: Float) -> [SharedMatrix<Float>] {
    let a0 = TestMatrices.noise(rows: rank, columns: inputs, seed: 1)
    let b0 = TestMatrices.noise(rows: out, columns: rank, seed: 2)
    var a = TestMatrices.noise(rows: rank, columns: inputs, seed: 3)
    var b = TestMatrices.noise(rows: out, columns: rank, seed: 4)
    for row in 0..<rank {
      for column in 0..<inputs { a[row, column] = a0[row, column] + change * a[row, column] }
    }
    for row in 0..<out {
      for column in 0..<rank { b[row, column] = b0[row, column] + change * b[row, column] }
    }
    return [SharedMatrix(a), SharedMatrix(b), SharedMatrix(a0), SharedMatrix(b0)]
  }

  @Test(
    "the stacked factors are the change, and cut to a rank they are its best approximation, however small it is",
    arguments: [(20, 30, 4), (30, 20, 4), (7, 30, 6), (30, 7, 6), (5, 5, 5)], [Float(0.5), 1e-4])
  func stacked(shape: (Int, Int, Int), size: Float) throws {
    let (out, inputs, rank) = shape
    let given = factors(out, inputs, rank, change: size)
    let (a, b, a0, b0) = (given[0], given[1], given[2], given[3])
    let truth = change(a.matrix, b.matrix, a0.matrix, b0.matrix)
    let norm = truth.view.sumOfSquares().squareRoot()
    let update = PlainUpdate(a: a.matrix, b: b.matrix, initialA: a0.matrix, initialB: b0.matrix)
    #expect(
      distance(product(update.b.widened(), update.a.widened()), truth) < 1e-14 * Double(rank) / Double(size)
        * norm)
    let values = try DoubleSVD(of: truth).s
    for kept in [1, 2, rank, min(2 * rank, out, inputs)] {
      let (factors, dropped) = try update.truncated(to: kept)
      let best = values[min(kept, values.count)...].reduce(0) { $0 + $1 * $1 }
      let left = distance(product(factors.b.matrix, factors.a.matrix), truth)
      #expect(abs(left - best.squareRoot()) < 1e-9 * norm)
      #expect(abs(dropped.reduce(0) { $0 + $1 * $1 } - best) < 1e-9 * norm * norm)
      #expect(abs(factors.energy + best - norm * norm) < 1e-9 * norm * norm)
    }
  }

  @Test("factors that did not change leave nothing")
  func unchanged() throws {
    let a = TestMatrices.noise(rows: 3, columns: 8, seed: 1)
    let b = TestMatrices.noise(rows: 6, columns: 3, seed: 2)
    let update = PlainUpdate(a: a, b: b, initialA: a, initialB: b)
    let (factors, _) = try update.truncated(to: 2)
    #expect(factors.energy < 1e-25)
  }
}
