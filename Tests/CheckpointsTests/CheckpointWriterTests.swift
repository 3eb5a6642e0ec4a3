import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct CheckpointWriterTests {
  private let fixture = ModelPair.small(.bf16).base

  /// Writes the fixture as a source with everything that folders of models hold.
  private func source(in folder: TemporaryFolder, shardCount: Int) throws -> Checkpoint {
    try fixture.write(to: folder.file("source"), shardCount: shardCount)
    for name in [
      "tokenizer.json", "tokenizer.model", "generation_config.json", "merges.txt", "chat_template.jinja",
    ] {
      try folder.write(Array(name.utf8), to: "source/" + name)
    }
    for name in ["pytorch_model.bin", "consolidated.pth", "README.md", "adapter_config.json", ".lock.json"] {
      try folder.write(Array(name.utf8), to: "source/" + name)
    }
    _ = try folder.makeFolder("source/original.json")
    return try Checkpoint.open(folder.file("source"))
  }

  private func tensors(_ checkpoint: Checkpoint) throws -> [String: [UInt8]] {
    try checkpoint.tensors.mapValues { try $0.bytes() }
  }

  private let companions = [
    "chat_template.jinja", "config.json", "generation_config.json", "merges.txt", "tokenizer.json",
    "tokenizer.model",
  ]

  @Test("the same files with the same tensors, save for those that were replaced", arguments: [1, 3])
  func keepsLayout(shardCount: Int) throws {
    let folder = try TemporaryFolder()
    let source = try source(in: folder, shardCount: shardCount)
    let target = try folder.makeFolder("target")
    let early = "lm_head.weight"
    let late = "model.layers.1.mlp.up_proj.weight"
    let values = Dictionary(
      uniqueKeysWithValues: [early, late].map { ($0, [UInt8](repeating: 7, count: fixture[$0].bytes.count)) })
    let writer = try CheckpointWriter(of: source, into: target)
    try writer.write(values[early] ?? [], to: early)
    let finished = try writer.files.indices.map { number in
      try writer.finishFile(number) { tensor in
        #expect(tensor.name != early)
        return values[tensor.name]
      }
    }
    try writer.finishFolder()
    #expect(finished.reduce(0) { $0 + $1.replacedCount } == 1)

    let written = try Checkpoint.open(target)
    #expect(try tensors(written) == tensors(source).merging(values) { $1 })
    #expect(written.tensors.mapValues(\.elementType) == source.tensors.mapValues(\.elementType))
    #expect(written.tensors.mapValues(\.shape) == source.tensors.mapValues(\.shape))
    let names = { (files: [String]) in files.map { $0.split(separator: "/").last.map(String.init) } }
    #expect(names(written.files) == names(source.files))
    let index = shardCount > 1 ? ["model.safetensors.index.json"] : []
    let found = try FileManager.default.contentsOfDirectory(atPath: target)
    #expect(found.filter { !$0.hasSuffix(".safetensors") }.sorted() == (companions + index).sorted())
    #expect(FileManager.default.contents(atPath: target + "/merges.txt") == Data("merges.txt".utf8))
    for file in written.files { #expect(try SafetensorsHeader.read(path: file).metadata == ["format": "pt"]) }
  }

  @Test("files of a given size, unless one tensor is larger", arguments: [1, 3])
  func splits(shardCount: Int) throws {
    let folder = try TemporaryFolder()
    let source = try source(in: folder, shardCount: shardCount)
    let largest = source.tensors.values.map(\.byteCount).max() ?? 0
    let total = source.tensors.values.reduce(0) { $0 + $1.byteCount }
    for (number, size) in [1, largest - 1, largest, largest + 700, total - 1, total].enumerated() {
      let target = try folder.makeFolder("target\(number)")
      try CheckpointWriter(of: source, into: target, shardSize: size).finish()
      let written = try Checkpoint.open(target)
      #expect(try tensors(written) == tensors(source))
      for file in written.files {
        let sizes = written.tensors.values.filter { $0.filePath == file }.map(\.byteCount)
        #expect(sizes.count == 1 || sizes.reduce(0, +) <= size)
      }
      if size == total { #expect(written.files == [target + "/model.safetensors"]) }
      if size == total - 1 { #expect(written.files.first == target + "/model-00001-of-00002.safetensors") }
      if size == 1 { #expect(written.files.count == source.tensors.count) }
    }
  }

  @Test("a model given as one file, whatever it is called, with what lies beside it")
  func singleFile() throws {
    let folder = try TemporaryFolder()
    _ = try source(in: folder, shardCount: 1)
    try FileManager.default.moveItem(
      atPath: folder.file("source/model.safetensors"), toPath: folder.file("source/other.safetensors"))
    let source = try Checkpoint.open(folder.file("source/other.safetensors"))
    let target = try folder.makeFolder("target")
    try CheckpointWriter(of: source, into: target).finish()
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: target).sorted()
        == (companions + ["model.safetensors"]).sorted())
    #expect(try tensors(Checkpoint.open(target)) == tensors(source))
  }

  @Test("links are followed, as a download's folder needs")
  func links() throws {
    let folder = try TemporaryFolder()
    try folder.write(Array("{}".utf8), to: "blob")
    let source = try source(in: folder, shardCount: 1)
    try FileManager.default.removeItem(atPath: folder.file("source/config.json"))
    try FileManager.default.createSymbolicLink(
      atPath: folder.file("source/config.json"), withDestinationPath: "../blob")
    let target = try folder.makeFolder("target")
    try CheckpointWriter(of: source, into: target).finish()
    #expect(try Data(contentsOf: URL(filePath: target + "/config.json")) == Data("{}".utf8))
    let type = try FileManager.default.attributesOfItem(atPath: target + "/config.json")[.type]
    #expect(type as? FileAttributeType == .typeRegular)
  }

  @Test("a tensor that is not the source's, of another size, or written twice is refused by name")
  func refusals() throws {
    let folder = try TemporaryFolder()
    let source = try source(in: folder, shardCount: 2)
    let writer = try CheckpointWriter(of: source, into: folder.makeFolder("target"))
    let problem = { (tensor: String, bytes: [UInt8]) -> String in
      do { try writer.write(bytes, to: tensor) } catch { return "\(error)" }
      return ""
    }
    #expect(problem("x.weight", []).hasSuffix("target: tensor 'x.weight' is not in \(source.path)"))
    let name = "model.embed_tokens.weight"
    #expect(
      problem(name, [1]).contains("'\(name)' is written with 1 bytes, but shape [40, 16] of BF16 needs 1280"))
    let bytes = fixture[name].bytes
    #expect(problem(name, bytes) == "")
    #expect(problem(name, bytes).contains("'\(name)' is written twice"))
  }

  @Test(
    "a full disk is a sentence, and nothing that looks whole stays",
    .enabled(if: TemporaryMount.isPermitted, "needs mount(8)"))
  func fullDisk() throws {
    let folder = try TemporaryFolder()
    let source = try source(in: folder, shardCount: 1)
    let mount = try TemporaryMount(options: "size=4k", in: folder)
    let writer = try CheckpointWriter(of: source, into: mount.path)
    do {
      try writer.finish()
      Issue.record("the disk was not full")
    } catch let error as CheckpointError {
      #expect("\(error)" == "\(mount.path)/model.safetensors.tmp: cannot write: No space left on device")
      #expect(error.kind == .system)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: mount.path).isEmpty)
  }
}
