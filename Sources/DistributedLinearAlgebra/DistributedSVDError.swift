/// Why a distributed decomposition was not made.
///
/// Every rank throws the same error: what leads to it is computed from numbers all ranks share.
public enum DistributedSVDError: Error, CustomStringConvertible, Equatable, Sendable {
  /// The ranks' parts of the matrix have different short sides.
  case shortSidesDiffer(least: Int, most: Int)

  /// The side said to be the short one is the longer one.
  case shortSideIsLonger(shortLength: Int, longLength: Int)

  /// An entry is NaN or infinite; how many ranks found one.
  case notFinite(rankCount: Int)

  /// A workspace or a local part has more elements than ScaLAPACK's 32-bit integers count.
  case tooLarge(
    routine: String, rowCount: Int, columnCount: Int, rankCount: Int, elementCount: Int, limit: Int)

  /// The iteration inside a ScaLAPACK routine did not converge (`info` > 0).
  case notConverged(routine: String, rowCount: Int, columnCount: Int, info: Int)

  /// The ranks found different singular values, as processors of different kinds do.
  case ranksDisagree(routine: String, rowCount: Int, columnCount: Int)

  /// Vectors of the long side stayed dependent after all rounds, from this one on.
  case notOrthogonal(vector: Int, longLength: Int)

  /// One sentence with the numbers and what to try.
  public var description: String {
    switch self {
    case .shortSidesDiffer(let least, let most):
      "ranks hold parts of matrices with short sides from \(least) to \(most); one matrix has one"
    case .shortSideIsLonger(let short, let long):
      "the short side has \(short) entries and the long one \(long); split the matrix along its longer side"
    case .notFinite(let ranks):
      "the matrix has NaN or infinite entries on \(ranks) rank\(ranks == 1 ? "" : "s")"
    case .tooLarge(let routine, let rows, let columns, let ranks, let elements, let limit):
      "\(routine) of a \(rows) × \(columns) matrix on \(ranks) rank\(ranks == 1 ? "" : "s") needs arrays of "
        + "\(elements) elements a rank, limit \(limit); start more ranks or use --method "
        + (routine == "psgesvd" ? "exact" : "krylov")
    case .notConverged(let routine, let rows, let columns, let info):
      "\(routine) did not converge on a \(rows) × \(columns) matrix (info \(info)); rerun with another --method"
    case .ranksDisagree(let routine, let rows, let columns):
      "\(routine) found different singular values of a \(rows) × \(columns) matrix on different ranks; run on "
        + "processors of one kind or use --method exact"
    case .notOrthogonal(let vector, let length):
      "singular vector \(vector) of length \(length) stayed dependent on those before it; "
        + "rerun with another --seed"
    }
  }
}
