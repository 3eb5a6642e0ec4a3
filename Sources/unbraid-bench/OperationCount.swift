import LinearAlgebra

/// Floating-point operations of a decomposition's products with the matrix, all that a floor is made of.
enum OperationCount {
  /// Operations of a truncated SVD that read its matrix `passes` times; double-precision ones count twice.
  ///
  /// Krylov: 4·m·n·b a step and 2·m·n·k for the triplets. Gram: the Gram matrix and all its eigenvectors.
  static func decomposition(
    rows: Int, columns: Int, rank: Int, method: TruncatedSVD.Method, passes: Int
  ) -> Double {
    let short = Double(min(rows, columns))
    let long = Double(max(rows, columns))
    let triplets = product(rows: rows, columns: columns, rank: rank)
    switch method {
    case .krylov, .auto:
      let block = Double(TruncatedSVD.blockLength(rank: rank))
      return Double(max(0, passes - 1)) * 4 * long * short * block + triplets
    case .gram: return 2 * (long * short * short + 9 * short * short * short) + triplets
    case .dense: return 8 * long * short * short + 22 * short * short * short
    }
  }

  /// Operations of one product of the matrix with k vectors.
  static func product(rows: Int, columns: Int, rank: Int) -> Double {
    2 * Double(rows) * Double(columns) * Double(rank)
  }
}
