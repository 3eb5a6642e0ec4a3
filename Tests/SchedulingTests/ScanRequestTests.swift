import Scheduling
import Testing

@Suite struct ScanRequestTests {
  @Test("a model and its difference from another one go into folders of two names")
  func folderNames() throws {
    func name(_ base: String?) throws -> String {
      try ScanRequest(
        modelPath: "chat", base: base.map { .init(path: $0, acceptsMixedTypes: false) }, modelName: "my/chat",
        types: [], topPercent: nil, isCompatible: false
      ).folderName
    }
    #expect(try name(nil) == "scan_my-chat")
    #expect(try name("llama_base") == "scan_my-chat-minus-llama-base")
  }
}
