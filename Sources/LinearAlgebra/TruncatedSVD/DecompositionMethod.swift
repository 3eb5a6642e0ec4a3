/// How a module is decomposed: by one rank or a team, or by all ranks of the job together.
public enum DecompositionMethod: String, Sendable, Codable, CaseIterable {
  /// The cheaper of `gram` and `krylov` for the shape and rank.
  case auto
  /// Adaptive randomized block Krylov iteration, stopped by the tolerance.
  case krylov
  /// All eigenvalues of the double-precision Gram matrix of the shorter side.
  case gram
  /// LAPACK's divide-and-conquer SVD of the whole matrix (sgesdd).
  case dense
  /// The exact SVD over all ranks: a distributed Gram matrix in double precision and its eigenvectors.
  case exact
  /// ScaLAPACK's own SVD (P?GESVD) over all ranks, for reference.
  case scalapack

  /// Whether all ranks of the job work on one module together.
  public var isCollective: Bool { self == .exact || self == .scalapack }

  /// The same method for a truncated SVD; nil if it takes all ranks of the job.
  public var truncated: TruncatedSVD.Method? { TruncatedSVD.Method(rawValue: rawValue) }

  /// The method that a truncated SVD went by.
  public init(_ method: TruncatedSVD.Method) {
    self =
      switch method {
      case .auto: .auto
      case .krylov: .krylov
      case .gram: .gram
      case .dense: .dense
      }
  }
}
