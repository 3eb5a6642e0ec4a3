extension LoRAFactors {
  /// The factors of some of the triplets, bit for bit as they are in these; nil for none.
  ///
  /// - Parameters:
  ///   - kept: Numbers of triplets, ascending; unless all are kept, these factors have a certificate.
  ///   - outputCount: The module's features going out, which are B's rows.
  /// - Returns: Factors with the residual that the certificate tells.
  public func selecting(_ kept: [Int], outputCount: Int) -> LoRAFactors? {
    guard !kept.isEmpty else { return nil }
    guard kept.count < rank else { return self }
    guard let certificate else { preconditionFailure("a selection of factors without a certificate") }
    return LoRAFactors(
      a: selectedColumns(kept, of: a, rowCount: 1, columnCount: rank, width: a.count / rank),
      b: selectedColumns(
        kept, of: b, rowCount: outputCount, columnCount: rank, width: b.count / outputCount / rank),
      rank: kept.count, residualEnergy: certificate.residualEnergy(keeping: kept))
  }
}

extension ModuleRecord {
  /// The record of the same module with only some of its triplets.
  ///
  /// The loss is that against the same triplets of the exact SVD. Each captured energy λᵢ is missed by some part
  /// that is not negative, and together they miss at most what all triplets do: so a selection's loss is at most
  /// the whole one's times the ratio of the captured energies.
  ///
  /// - Parameters:
  ///   - kept: Numbers of triplets, ascending.
  ///   - requestedRank: The triplets that the experiment asked for.
  ///   - factors: What `LoRAFactors.selecting` made of them.
  /// - Returns: Another record.
  public func selecting(_ kept: [Int], requestedRank: Int, factors: LoRAFactors?) -> ModuleRecord {
    var record = self
    record.requestedRank = requestedRank
    guard kept.count < rank else { return record }
    let isKept = Set(kept)
    let energies = singularValues.map { $0 * $0 }
    let dropped = energies.indices.filter { !isKept.contains($0) }
    let captured = kept.reversed().reduce(0) { $0 + energies[$1] }
    let all = energies.reversed().reduce(0, +)
    record.rank = kept.count
    record.singularValues = kept.map { singularValues[$0] }
    record.residual = (residual * residual + dropped.reversed().reduce(0) { $0 + energies[$1] }).squareRoot()
    record.writtenResidual = factors?.residualEnergy.squareRoot() ?? norm
    record.estimatedLoss = captured > 0 ? min(1, estimatedLoss * all / captured) : 0
    return record
  }
}

/// Some columns of a row-major matrix, given by ascending numbers.
///
/// - Parameters:
///   - kept: Which.
///   - bytes: The matrix.
///   - rowCount: Its rows.
///   - columnCount: Its columns.
///   - width: Bytes of an element.
/// - Returns: The matrix of these columns.
func selectedColumns(_ kept: [Int], of bytes: [UInt8], rowCount: Int, columnCount: Int, width: Int) -> [UInt8]
{
  if kept.count == columnCount { return bytes }
  let runs = consecutiveRuns(of: kept)
  var result: [UInt8] = []
  result.reserveCapacity(rowCount * kept.count * width)
  for row in 0..<rowCount {
    let start = row * columnCount
    for run in runs { result += bytes[(start + run.lowerBound) * width..<(start + run.upperBound) * width] }
  }
  return result
}

/// Ascending numbers as ranges without gaps.
func consecutiveRuns(of numbers: [Int]) -> [Range<Int>] {
  var runs: [Range<Int>] = []
  for number in numbers {
    if let last = runs.last, last.upperBound == number {
      runs[runs.count - 1] = last.lowerBound..<number + 1
    } else {
      runs.append(number..<number + 1)
    }
  }
  return runs
}
