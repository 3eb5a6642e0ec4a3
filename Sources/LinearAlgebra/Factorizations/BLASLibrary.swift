internal import CKernels
internal import COpenBLAS
internal import Glibc

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

  /// The kernels of the BLAS and of this module's own products: equal ones give equal bits.
  public static var kernels: String {
    coreName + (ckernels_has_fma() != 0 ? "" : " without fused multiply-add")
  }

  /// What a person should know about the library before a long run; nothing, as a rule.
  ///
  /// A core type forced by `OPENBLAS_CORETYPE`, or taken by an OpenBLAS that does not know the processor, can halve
  /// the speed. Functions that a program finds under the names of BLAS and LAPACK come from whatever the system's
  /// alternatives select, which may be the slow reference libraries.
  public static var notices: [String] {
    coreNotice(forced: getenv("OPENBLAS_CORETYPE").map { String(cString: $0) }, chosen: coreName)
      + libraryNotices()
  }

  /// The notice about kernels slower than the processor has.
  package static func coreNotice(
    forced: String?, chosen: String, hasAVX512: Bool = ckernels_has_avx512() != 0
  )
    -> [String]
  {
    let wide: Set = ["SkylakeX", "Cooperlake", "SapphireRapids", "Zen4"]
    guard hasAVX512, !wide.contains(chosen) else { return [] }
    return [
      "OpenBLAS uses its \(chosen) kernels although this processor has AVX-512"
        + (forced.map { "; unset OPENBLAS_CORETYPE (now '\($0)')" }
          ?? "; OPENBLAS_CORETYPE=SkylakeX may be faster")
    ]
  }

  private static func libraryNotices() -> [String] {
    [("dgemm_", "BLAS"), ("dsyevd_", "LAPACK")].compactMap { symbol, name -> String? in
      guard let path = ckernels_library_of(symbol).map({ String(cString: $0) }) else { return nil }
      return path.contains("openblas")
        ? nil : "\(name) comes from \(path), not from OpenBLAS; select OpenBLAS with update-alternatives"
    }
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
