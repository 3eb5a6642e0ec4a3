public import LinearAlgebra
public import MPI

/// The ratios by which ScaLAPACK's own tester judges an SVD; it passes below 20.
///
/// With ulp = 2⁻²³, r triplets and 1-norms of B = A or Aᵀ, whichever is not wide. All in double precision.
public struct SVDRatios: Sendable {
  /// ‖A − UΣVᵀ‖ / (‖A‖·max(m, n)·ulp); the numerator alone if A = 0.
  public let residual: Double
  /// ‖I − UᵀU‖ / (m·ulp).
  public let leftOrthogonality: Double
  /// ‖I − VᵀV‖ / (n·ulp).
  public let rightOrthogonality: Double
  /// Whether the values descend and none is negative.
  public let isSorted: Bool

  /// The largest ratio; infinite if the values are out of order or anything is NaN.
  public var worst: Double {
    let ratios = [residual, leftOrthogonality, rightOrthogonality]
    return isSorted && ratios.allSatisfy { $0.isFinite } ? ratios.reduce(0, max) : .infinity
  }

  /// Collective: judges factors whose long side is cut like the matrix.
  ///
  /// - Parameters:
  ///   - slab: This rank's part of the matrix, as for `DistributedSVD`.
  ///   - isWide: As for `DistributedSVD`.
  ///   - values: All min(m, n).
  ///   - longRows: All vectors of the long side as rows, this rank's part.
  ///   - shortRows: All vectors of the short side as rows.
  ///   - communicator: The ranks that have a part.
  /// - Throws: What `DistributedSVD` throws for a bad slab; an `MPIError` if MPI reports one.
  public init(
    slab: borrowing Matrix<Float>, isWide: Bool, values: [Double], longRows: borrowing Matrix<Float>,
    shortRows: borrowing Matrix<Float>, over communicator: borrowing Communicator
  ) throws {
    let block = try LongSideSlab(
      slab.view, isWide: isWide, isFinite: slab.firstNonFinite() == nil, over: communicator)
    let ulp = Double(Float.ulpOfOne)
    let (difference, norm) = try Self.columnNorms(
      block, values: values, longRows: longRows.view, shortRows: shortRows.view, over: communicator)
    residual = difference / ((norm > 0 ? norm : 1) * Double(block.longLength) * ulp)
    let long = Matrix<Double>(repeating: 0, rows: values.count, columns: values.count)
    addInnerProducts(longRows.view, longRows.view, into: long.view)
    try communicator.sum(long.view)
    let short = Matrix<Double>(repeating: 0, rows: values.count, columns: values.count)
    addInnerProducts(shortRows.view, shortRows.view, into: short.view)
    let longRatio = Self.distanceFromIdentity(long) / (Double(block.longLength) * ulp)
    let shortRatio = Self.distanceFromIdentity(short) / (Double(block.shortLength) * ulp)
    (leftOrthogonality, rightOrthogonality) = isWide ? (shortRatio, longRatio) : (longRatio, shortRatio)
    isSorted = values.allSatisfy { $0 >= 0 } && zip(values, values.dropFirst()).allSatisfy { $0 >= $1 }
  }

  /// The 1-norms of B − long·Σ·short and of B, by panels of the long side.
  private static func columnNorms(
    _ slab: LongSideSlab, values: [Double], longRows: MatrixView<Float>, shortRows: MatrixView<Float>,
    over communicator: borrowing Communicator
  ) throws -> (Double, Double) {
    let order = slab.shortLength
    var short = Matrix<Double>(uninitializedRows: values.count, columns: order)
    for row in 0..<values.count {
      for column in 0..<order { short[row, column] = values[row] * Double(shortRows.row(row)[column]) }
    }
    var sums = [Double](repeating: 0, count: 2 * order)
    let panelLength = 256
    for start in stride(from: 0, to: slab.localLength, by: panelLength) {
      let range = start..<min(start + panelLength, slab.localLength)
      var panel = Matrix<Double>(uninitializedRows: range.count, columns: order)
      var long = Matrix<Double>(uninitializedRows: range.count, columns: values.count)
      for row in 0..<range.count {
        for column in 0..<order {
          let entry =
            slab.isWide ? slab.block.row(column)[start + row] : slab.block.row(start + row)[column]
          panel[row, column] = Double(entry)
          sums[order + column] += abs(Double(entry))
        }
        for column in 0..<values.count { long[row, column] = Double(longRows.row(column)[start + row]) }
      }
      multiply(long.view, short.view, into: panel.view, alpha: -1, beta: 1)
      for row in 0..<range.count {
        for column in 0..<order { sums[column] += abs(panel[row, column]) }
      }
    }
    let total = try communicator.allReduce(sums, .sum)
    return (total.prefix(order).reduce(0, max), total.dropFirst(order).reduce(0, max))
  }

  private static func distanceFromIdentity(_ gram: borrowing Matrix<Double>) -> Double {
    var largest = 0.0
    for row in 0..<gram.rowCount {
      var sum = 0.0
      for column in 0..<gram.columnCount { sum += abs(gram[row, column] - (row == column ? 1 : 0)) }
      largest = max(largest, sum)
    }
    return largest
  }
}
