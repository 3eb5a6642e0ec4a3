internal import COpenBLAS

/// The BLAS this process runs on, for logs and reports.
public enum BLASLibrary {
  /// The version and build options of the linked OpenBLAS.
  public static var configuration: String {
    openblas_get_config().map { String(cString: $0).trimmingTrailingSpaces() } ?? "unknown"
  }

  /// The processor kind whose kernels OpenBLAS chose, such as `Cooperlake`.
  public static var coreName: String {
    openblas_get_corename().map { String(cString: $0) } ?? "unknown"
  }

  /// Threads a BLAS call may use.
  ///
  /// One thread is what makes results repeat bit for bit; OpenBLAS would start one a core in every rank.
  public static func useThreads(_ count: Int) {
    openblas_set_num_threads(blasInteger(count))
  }
}

extension String {
  fileprivate func trimmingTrailingSpaces() -> String {
    var text = self[...]
    while text.last == " " { text = text.dropLast() }
    return String(text)
  }
}
