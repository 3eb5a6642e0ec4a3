import Initialisations
import LinearAlgebra
import TestSupport
import Testing

@Suite struct FactorPairTests {
  /// Tall, wide, square, thin, and one column.
  private static let shapes = [(40, 24), (24, 40), (32, 32), (60, 7), (9, 1)]

  /// A weight with a decaying spectrum, its SVD in double precision, and the product of a pair of factors.
  private static func weight(_ shape: (Int, Int), exponent: Double = 0.7) -> Matrix<Float> {
    TestMatrices.withSpectrum(
      TestMatrices.powerLaw(exponent, count: min(shape.0, shape.1)), rows: shape.0, columns: shape.1)
  }

  private static func product(of pair: borrowing FactorPair) -> Matrix<Double> {
    let result = Matrix<Double>(uninitializedRows: pair.left.rowCount, columns: pair.right.columnCount)
    multiply(pair.left.view, pair.right.view, into: result.view)
    return result
  }

  /// ‖A‖_F².
  private static func energy(_ matrix: borrowing Matrix<Double>) -> Double { matrix.view.sumOfSquares() }

  /// ‖A − B‖_F.
  private static func distance(_ a: borrowing Matrix<Double>, _ b: borrowing Matrix<Double>) -> Double {
    let difference = a.copy()
    add(b.view, times: -1, into: difference.view)
    return difference.view.sumOfSquares().squareRoot()
  }

  /// Σ σᵢ·uᵢ·vᵢᵀ over some triplets.
  private static func triplets(_ range: Range<Int>, of weight: borrowing Matrix<Double>) throws -> Matrix<
    Double
  > {
    let svd = try DoubleSVD(of: weight)
    let left = svd.u.copyingColumns(range)
    let right = svd.vh.selectingRows(Array(range)).scalingRows(by: Array(svd.s[range]))
    let result = Matrix<Double>(uninitializedRows: weight.rowCount, columns: weight.columnCount)
    multiply(left.view, right.view, into: result.view)
    return result
  }

  @Test("PiSSA takes the leading triplets, by halves", arguments: shapes)
  func pissa(rows: Int, columns: Int) throws {
    let short = min(rows, columns)
    for rank in Set([1, (short + 1) / 2, short]) {
      var weight = Self.weight((rows, columns))
      let exact = try Self.triplets(0..<rank, of: weight.widened())
      for method in [TruncatedSVD.Method.gram, .dense] {
        let pair = try FactorPair(leadingOf: &weight, options: .init(rank: rank, method: method))
        #expect(pair.values.count == rank)
        #expect(Self.distance(Self.product(of: pair), exact) < 3e-6)
        for index in 0..<rank {
          let column = Self.energy(pair.left.copyingColumns(index..<index + 1))
          let row = Self.energy(pair.right.selectingRows([index]))
          #expect(abs(column - pair.values[index]) < 1e-5 && abs(row - pair.values[index]) < 1e-5)
        }
      }
    }
  }

  @Test("a weight with fewer triplets than asked for has zeros for the others")
  func rankDeficient() throws {
    var weight = TestMatrices.withSpectrum([3, 2], rows: 12, columns: 10)
    let pair = try FactorPair(leadingOf: &weight, options: .init(rank: 5, method: .gram))
    #expect(pair.left.shape == (12, 5) && pair.right.shape == (5, 10))
    #expect(Array(pair.values[2...]) == [0, 0, 0])
    #expect(Self.energy(pair.left.copyingColumns(2..<5)) == 0)
    #expect(Self.distance(Self.product(of: pair), weight.widened()) < 3e-6)
    var zero = Matrix<Float>(repeating: 0, rows: 4, columns: 6)
    let none = try FactorPair(leadingOf: &zero, options: .init(rank: 2, method: .gram))
    #expect(none.left.view.sumOfSquares() == 0 && none.right.shape == (2, 6))
  }

  @Test("MiLoRA takes the last triplets, also where single precision has none", arguments: shapes)
  func milora(rows: Int, columns: Int) throws {
    let short = min(rows, columns)
    for rank in Set([1, (short + 1) / 2, short]) {
      let weight = Self.weight((rows, columns), exponent: 6)
      let exact = try Self.triplets(short - rank..<short, of: weight.widened())
      let pair = try FactorPair(lastOf: weight, rank: rank)
      #expect(Self.distance(Self.product(of: pair), exact) < 1e-12)
      #expect(pair.values == pair.values.sorted(by: >))
    }
  }

  @Test(
    "OLoRA takes the first columns of Q, which give the first columns of the weight back", arguments: shapes)
  func olora(rows: Int, columns: Int) throws {
    let short = min(rows, columns)
    for rank in Set([1, (short + 1) / 2, short]) {
      let weight = Self.weight((rows, columns)).widened()
      let pair = try FactorPair(orthonormalOf: Self.weight((rows, columns)), rank: rank)
      let columnsOfQ = pair.left.transposed()
      let gram = rowProducts(columnsOfQ, columnsOfQ)
      for row in 0..<rank {
        for column in 0..<rank { #expect(abs(gram[row, column] - (row == column ? 1 : 0)) < 1e-13) }
        for column in 0..<row { #expect(pair.right[row, column] == 0, "R is upper triangular") }
      }
      let product = Self.product(of: pair)
      #expect(Self.distance(product.copyingColumns(0..<rank), weight.copyingColumns(0..<rank)) < 1e-12)
      // What is left is orthogonal to Q.
      let rest = weight.copy()
      add(product.view, times: -1, into: rest.view)
      let inside = Matrix<Double>(uninitializedRows: rank, columns: columns)
      multiply(pair.left.view.transposed, rest.view, into: inside.view)
      #expect(inside.view.sumOfSquares().squareRoot() < 1e-12)
    }
  }

  @Test("LoRA-XS has the singular values on the input's side", arguments: shapes)
  func loraXS(rows: Int, columns: Int) throws {
    let rank = (min(rows, columns) + 1) / 2
    var weight = Self.weight((rows, columns))
    let exact = try Self.triplets(0..<rank, of: weight.widened())
    let pair = try FactorPair(frozenOf: &weight, options: .init(rank: rank, method: .gram))
    #expect(Self.distance(Self.product(of: pair), exact) < 3e-6)
    for index in 0..<rank {
      #expect(abs(Self.energy(pair.left.copyingColumns(index..<index + 1)) - 1) < 1e-5)
    }
  }

  /// XᵀX of inputs that are not alike in all directions.
  private static func covariance(_ order: Int, samples: Int = 200) -> Matrix<Float> {
    var inputs = Matrix<Float>(uninitializedRows: samples, columns: order)
    TestMatrices.noise(rows: samples, columns: order, seed: 5)
      .scaleColumns(by: (0..<order).map { 1 / Float(1 + $0 % 7) }, into: &inputs)
    let result = Matrix<Float>(uninitializedRows: order, columns: order)
    multiply(inputs.view.transposed, inputs.view, into: result.view)
    return result
  }

  /// ‖(W − B·A)·C‖_F for the damped C.
  private static func weightedError(
    _ weight: borrowing Matrix<Double>, _ pair: borrowing FactorPair, _ damped: borrowing Matrix<Double>
  ) -> Double {
    let rest = weight.copy()
    multiply(pair.left.view, pair.right.view, into: rest.view, alpha: -1, beta: 1)
    let weighted = LinearAlgebra.product(rest, damped)
    return weighted.view.sumOfSquares().squareRoot()
  }

  @Test("CorDA's first triplets leave the least of W·C, its last ones the most", arguments: shapes)
  func corda(rows: Int, columns: Int) throws {
    let weight = Self.weight((rows, columns))
    let covariance = Self.covariance(columns)
    let short = min(rows, columns)
    for rank in Set([1, (short + 1) / 2, short]) {
      let first = try FactorPair(weightedOf: weight, by: covariance, mode: .ipm, rank: rank, module: "m")
      let last = try FactorPair(weightedOf: weight, by: covariance, mode: .kpm, rank: rank, module: "m")
      let damping = first.damping ?? 0
      #expect(abs(damping - 0.01) < 1e-9)
      var damped = covariance.widened()
      let mean = (0..<columns).reduce(0) { $0 + damped[$1, $1] } / Double(columns)
      for index in 0..<columns { damped[index, index] += damping * mean }
      let values = try DoubleSVD(of: LinearAlgebra.product(weight.widened(), damped)).s
      let largest = values[0]
      let afterFirst = values[rank...].reduce(0) { $0 + $1 * $1 }.squareRoot()
      #expect(abs(Self.weightedError(weight.widened(), first, damped) - afterFirst) < 1e-6 * largest)
      let afterLast = values.dropLast(rank).reduce(0) { $0 + $1 * $1 }.squareRoot()
      #expect(abs(Self.weightedError(weight.widened(), last, damped) - afterLast) < 1e-6 * largest)
    }
  }

  @Test("inputs alike in all directions make CorDA the plain SVD")
  func cordaOfIdentity() throws {
    var weight = Self.weight((30, 20))
    var identity = Matrix<Float>(repeating: 0, rows: 20, columns: 20)
    for index in 0..<20 { identity[index, index] = 3 }
    let corda = try FactorPair(weightedOf: weight, by: identity, mode: .ipm, rank: 6, module: "m")
    let pissa = try FactorPair(leadingOf: &weight, options: .init(rank: 6, method: .gram))
    #expect(Self.distance(Self.product(of: corda), Self.product(of: pissa)) < 3e-6)
  }

  @Test("a covariance without an inverse in single precision is damped until it has one")
  func damping() throws {
    let order = 1200
    let weight = Self.weight((10, order))
    // One direction so strong that the usual damping leaves a condition of 1e5, as outliers in activations do.
    var covariance = Matrix<Float>(repeating: 0, rows: order, columns: order)
    let direction = (0..<order).map { Float(1 + $0 % 5) }
    for row in 0..<order {
      for column in 0..<order { covariance[row, column] = direction[row] * direction[column] }
    }
    let pair = try FactorPair(weightedOf: weight, by: covariance, mode: .ipm, rank: 2, module: "m")
    let damping = pair.damping ?? 0
    #expect(damping > 0.015 && damping < 1)
    let isFinite = pair.right.elements.allSatisfy { $0.isFinite }
    #expect(isFinite)
  }

  @Test("a covariance is the same as its transpose: rounding is evened out, anything more is refused")
  func asymmetry() throws {
    let weight = Self.weight((6, 4))
    func pair(_ corner: Float, isUpper: Bool) throws -> FactorPair {
      var covariance = Matrix<Float>(repeating: 0, rows: 4, columns: 4)
      for index in 0..<4 { covariance[index, index] = 2 }
      covariance[isUpper ? 0 : 3, isUpper ? 3 : 0] = corner
      return try FactorPair(weightedOf: weight, by: covariance, mode: .ipm, rank: 2, module: "a.b")
    }
    let (upper, lower) = (
      try pair(1e-4, isUpper: true).right.elements, try pair(1e-4, isUpper: false).right.elements
    )
    #expect(upper == lower)
    for isUpper in [true, false] {
      do {
        _ = try pair(1, isUpper: isUpper)
        Issue.record("a matrix that is not symmetric was taken")
      } catch {
        #expect("\(error)".contains("the covariance of module 'a.b' is not symmetric (its transpose is 0.34"))
      }
    }
  }

  @Test("matrices that are no second moments are refused by their module's name")
  func uselessCovariance() {
    let weight = Self.weight((6, 4))
    func refusal(_ diagonal: [Float]) -> String {
      var covariance = Matrix<Float>(repeating: 0, rows: 4, columns: 4)
      for (index, value) in diagonal.enumerated() { covariance[index, index] = value }
      do {
        _ = try FactorPair(weightedOf: weight, by: covariance, mode: .ipm, rank: 2, module: "a.b")
        return ""
      } catch { return "\(error)" }
    }
    #expect(
      refusal([0, 0, 0, 0])
        == "the covariance of module 'a.b' has a diagonal with the mean 0.0; collect it again on more text")
    #expect(refusal([9, 9, 9, -9]).hasPrefix("the covariance of module 'a.b' is not positive definite"))
    #expect(refusal([1, 0, 2, 3]) == "")
  }
}
