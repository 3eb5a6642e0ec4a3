import CMPI

/// How `allReduce` makes one value of the ranks' values.
public enum Reduction: Sendable {
  /// Their sum; the order of the additions is MPI's, so the last bits may differ between numbers of ranks.
  case sum

  /// The largest.
  case max

  /// The smallest.
  case min

  var handle: MPI_Op? {
    switch self {
    case .sum: cmpi_sum()
    case .max: cmpi_max()
    case .min: cmpi_min()
    }
  }
}
