import Foundation
import Scheduling
import TestSupport
import Testing

@Suite struct MergeJobTests {
  @Test("an adapter that changes while it is merged leaves no model behind")
  func changedAdapter() throws {
    let folder = try TemporaryFolder()
    try ModelPair.small().base.write(to: folder.file("base"))
    let module = "base_model.model.model.layers.0.mlp.up_proj"
    let adapter = ModelFixture([
      FixtureTensor(module + ".lora_A.weight", shape: [1, 32], Array(repeating: 1, count: 32)),
      FixtureTensor(module + ".lora_B.weight", shape: [48, 1], Array(repeating: 1, count: 48)),
    ])
    let file = folder.file("adapter") + "/adapter_model.safetensors"
    try FileManager.default.createDirectory(
      atPath: folder.file("adapter"), withIntermediateDirectories: true)
    try Data(RawSafetensors.file(adapter.tensors)).write(to: URL(filePath: file))
    try Data(#"{"peft_type":"LORA","r":1,"lora_alpha":1}"#.utf8)
      .write(to: URL(filePath: folder.file("adapter") + "/adapter_config.json"))
    func run(_ name: String, onTensor: @escaping () throws -> Void) throws {
      let job = MergeJob(
        MergeRequest(modelPath: folder.file("base"), adapters: [(folder.file("adapter"), 1)]),
        version: "1")
      _ = try job.run(into: OutputFolder(path: folder.file(name)), notify: { _ in }) { _ in
        try? onTensor()
      }
    }
    #expect(throws: (any Error).self) {
      try run("changed") {
        try FileManager.default.setAttributes(
          [.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: file)
      }
    }
    #expect(!FileManager.default.fileExists(atPath: folder.file("changed")))
    try run("unchanged") {}
    #expect(FileManager.default.fileExists(atPath: folder.file("unchanged")))
  }
}
