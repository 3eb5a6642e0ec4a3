import LinearAlgebra
import Testing

@Suite struct BLASLibraryTests {
  @Test("kernels slower than the processor has are noticed, and what to do about them")
  func coreNotice() {
    #expect(BLASLibrary.coreNotice(forced: nil, chosen: "Cooperlake", hasAVX512: true).isEmpty)
    #expect(BLASLibrary.coreNotice(forced: "Haswell", chosen: "Haswell", hasAVX512: false).isEmpty)
    let forced = BLASLibrary.coreNotice(forced: "Haswell", chosen: "Haswell", hasAVX512: true)
    #expect(forced.count == 1 && forced[0].contains("unset OPENBLAS_CORETYPE (now 'Haswell')"))
    let unknown = BLASLibrary.coreNotice(forced: nil, chosen: "Haswell", hasAVX512: true)
    #expect(unknown.count == 1 && unknown[0].contains("OPENBLAS_CORETYPE=SkylakeX"))
  }

  @Test("the library and its kernels have names, and this program's BLAS is OpenBLAS")
  func names() {
    #expect(BLASLibrary.configuration.hasPrefix("OpenBLAS "))
    #expect(BLASLibrary.coreName != "unknown")
    #expect(!BLASLibrary.notices.contains { $0.contains("not from OpenBLAS") })
  }
}
