public import Checkpoints
public import LinearAlgebra

/// The rank of the update that made a fine-tune of its base, such as a merged LoRA adapter, seen through the rounding of
/// the stored sum.
///
/// Singular values above the floor of the rounding count. Where few of them stand far above it and others near it, the
/// latter may be rounding too, which follows the pattern of a small update: then the smallest rank is taken at which some
/// matrix of that rank rounds to the stored values.
public struct UpdateRank: Sendable, Codable, Equatable {
  /// What is known.
  public let verdict: Verdict
  /// The rank, or the least that it can be.
  public let rank: Int
  /// Where the rounding ends.
  public let floor: Double
  /// The singular value of that number; nil for none.
  public let smallestAbove: Double?
  /// The next one; nil if there is none.
  public let largestBelow: Double?
  /// ‖·‖_F² of all that the rank leaves over, divided by what rounding is expected to leave.
  public let restOverRounding: Double

  /// What is known of a rank.
  public enum Verdict: String, Sendable, Codable {
    /// The weights are equal.
    case unchanged
    /// So many components, and rounding explains the rest.
    case exact
    /// So many components stand above the rounding, and more may be below it, or more than rounding is left.
    case atLeast = "at least"
    /// Nothing stands above the rounding.
    case hidden
  }

  /// Neighbours of which one is so many times the other are two kinds.
  private static let gap = 1.5
  /// Components so far above the floor, with nothing between, are no rounding.
  private static let farAbove = 4.0
  /// The pattern of rounding reaches so far above the floor, at most.
  private static let reach = 16.0
  /// What rounding may leave, by the spread of its sum and by what is not quite independent in it.
  private static let largestRest = 1.1

  /// Finds the rank of a difference.
  ///
  /// - Parameters:
  ///   - delta: Tuned − base.
  ///   - tuned: The fine-tune's stored values.
  ///   - type: What they are stored as.
  /// - Throws: `LAPACKError` if a factorisation does not converge.
  public init(
    of delta: borrowing Matrix<Float>, tuned: borrowing Matrix<Float>, storedAs type: ElementType
  ) throws(LAPACKError) {
    let values = try singularValues(of: delta)
    let rounding = StoredRounding(type)
    let noise = MergeRounding(delta: delta, tuned: tuned, rounding: rounding)
    guard let largest = values.first, largest > 0 else {
      self.init(.unchanged, 0, values, noise)
      return
    }
    let count = values.prefix { $0 > noise.floor }.count
    guard count > 0 else {
      self.init(.hidden, 0, values, noise)
      return
    }
    // Where one component is followed by a much smaller one near the floor, the latter may be rounding.
    let ends = (1...count).filter { rank in
      rank < values.count && values[rank] < Self.reach * noise.floor
        && values[rank - 1] >= Self.gap * values[rank]
    }
    let whole = UpdateRank(.exact, count, values, noise)
    let isClear =
      ends.last == count && values[count - 1] >= Self.farAbove * noise.floor
      && whole.restOverRounding <= Self.largestRest
    let doubtful = isClear ? Array(ends.dropLast()) : ends
    if !doubtful.isEmpty,
      let rank = try RoundingBox(delta: delta, tuned: tuned, rounding: rounding)
        .smallestRank(among: doubtful)
    {
      self.init(.exact, rank, values, noise)
    } else {
      self.init(isClear ? .exact : .atLeast, count, values, noise)
    }
  }

  private init(_ verdict: Verdict, _ rank: Int, _ values: [Double], _ noise: MergeRounding) {
    self.verdict = verdict
    self.rank = rank
    floor = noise.floor
    smallestAbove = rank > 0 ? values[rank - 1] : nil
    largestBelow = rank < values.count ? values[rank] : nil
    let rest = values.dropFirst(rank).reversed().reduce(0) { $0 + $1 * $1 }
    restOverRounding = noise.energy > 0 ? rest / noise.energy : 0
  }
}
