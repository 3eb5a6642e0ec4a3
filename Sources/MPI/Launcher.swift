import Glibc

/// What the environment says about the job before MPI is initialised.
///
/// Errors found that early, a wrong option for instance, are printed by rank 0 alone; this tells who that is.
public enum Launcher {
  /// Whether mpirun, srun or another launcher started this process.
  ///
  /// Open MPI sets `OMPI_COMM_WORLD_SIZE`; launchers that speak PMIx or PMI set `PMIX_RANK` or `PMI_RANK`.
  public static var isPresent: Bool {
    ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"].contains { value(of: $0) != nil }
  }

  /// The rank this process is going to have in the world, or nil if no launcher names one.
  public static var rank: Int? {
    for name in ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"] {
      if let rank = value(of: name).flatMap({ Int($0) }) { return rank }
    }
    return nil
  }

  /// Whether all ranks of the job are known to be on this machine; false where the launcher does not say.
  public static var isOnOneMachine: Bool {
    guard let size = value(of: "OMPI_COMM_WORLD_SIZE") else { return !isPresent }
    return value(of: "OMPI_COMM_WORLD_LOCAL_SIZE") == size
  }

  private static func value(of name: String) -> String? {
    getenv(name).map { String(cString: $0) }
  }
}
