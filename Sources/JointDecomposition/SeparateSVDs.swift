internal import LinearAlgebra

/// What truncated SVDs of the slices, each by itself, reach with as many numbers as a joint decomposition takes.
///
/// A triplet takes m + n numbers. All triplets there is room for go to the largest singular values of all slices,
/// which is the best that separate SVDs can do.
public struct SeparateSVDs: Sendable, Codable, Equatable {
  /// Triplets there is room for.
  public let tripletCount: Int
  /// How many of them each slice gets.
  public let ranks: [Int]
  /// ‖A − Â‖_F² of each slice.
  public let residuals: [Double]
  /// Slices that got as many triplets as were computed of them, and might have got more: the residual is an upper
  /// bound if there are any.
  public let exhaustedCount: Int

  /// ‖X − X̂‖².
  public var residual: Double { residuals.reversed().reduce(0, +) }

  init(_ values: [[Double]], _ budget: TripletBudget, energies: [Double], scale: Double) {
    let sorted = values.enumerated().flatMap { slice, values in values.map { (value: $0, slice: slice) } }
      .sorted { ($1.value, $0.slice) < ($0.value, $1.slice) }
    var ranks = [Int](repeating: 0, count: values.count)
    var captured = [Double](repeating: 0, count: values.count)
    for (value, slice) in sorted.prefix(budget.tripletCount) where value > 0 {
      ranks[slice] += 1
      captured[slice] += value * value * scale
    }
    tripletCount = budget.tripletCount
    self.ranks = ranks
    residuals = zip(energies, captured).map { max(0, $0 - $1) }
    exhaustedCount = ranks.filter { $0 == budget.perSlice && $0 < budget.fullRank }.count
  }
}

/// How many triplets separate SVDs may have, and how many are computed of each slice to choose from.
struct TripletBudget {
  let tripletCount: Int
  let perSlice: Int
  let fullRank: Int

  init(_ stack: SliceStack, parameterCount: Int) {
    fullRank = min(stack.rows, stack.columns)
    tripletCount = parameterCount / (stack.rows + stack.columns)
    // Layers differ in energy, rarely by more than a few times.
    let average = (tripletCount + stack.sliceCount - 1) / stack.sliceCount
    perSlice = max(1, min(fullRank, tripletCount, 2 * average + 8))
  }

  /// The leading singular values of a slice, zeros where it has no more.
  func singularValues(of slice: Slice, _ index: Int, _ stack: SliceStack) throws -> [Double] {
    let share = LongSideShare(rows: stack.rows, columns: stack.columns, threadCount: stack.threadCount)
    let svd = try TruncatedSVD(
      of: &slice.matrix, share: share,
      options: .init(rank: perSlice, random: stack.random("separate SVD of slice \(index)")))
    return svd.s + [Double](repeating: 0, count: perSlice - svd.rank)
  }

  /// Collective: the values of all slices, from the ranks that have them.
  func gathered(_ values: [Int: [Double]], _ stack: SliceStack) throws -> [[Double]] {
    let flat = try stack.gathered(countPerSlice: perSlice) { values[$0] ?? [] }
    return (0..<stack.sliceCount).map { Array(flat[$0 * perSlice..<($0 + 1) * perSlice]) }
  }
}
