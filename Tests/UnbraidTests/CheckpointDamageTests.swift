import Checkpoints
import Foundation
import TestSupport
import Testing

extension TroubleSuite {
  @Suite struct CheckpointDamageTests {
    @Test("a folder that is not there, or whose weights cannot be read, is named with the remedy")
    func folders() throws {
      let workspace = try Workspace()
      try FileManager.default.removeItem(atPath: workspace.tunedPath)
      try workspace.expectRefusal("{tuned}: no such file or folder")
      _ = try workspace.folder.makeFolder("tuned")
      try workspace.expectRefusal("{tuned}: the folder is empty; give one with model.safetensors")
      try workspace.folder.write("{}".utf8, to: "tuned/config.json")
      try workspace.expectRefusal(
        "{tuned}: none of the 1 entry is a .safetensors file; give a folder with model.safetensors")
      try workspace.folder.write([0, 0], to: "tuned/pytorch_model.bin")
      try workspace.expectRefusal(
        "{tuned}: holds 'pytorch_model.bin' but no safetensors; convert it with Transformers: "
          + "AutoModel.from_pretrained(folder).save_pretrained(new_folder, safe_serialization=True)")
    }

    @Test("files without an index, a file of another kind and a broken config.json are refused")
    func strangeFiles() throws {
      let workspace = try Workspace()
      let file = try Data(contentsOf: URL(filePath: workspace.tunedPath + "/model.safetensors"))
      try FileManager.default.removeItem(atPath: workspace.tunedPath + "/model.safetensors")
      try workspace.folder.write(file, to: "tuned/a.safetensors")
      try workspace.folder.write(file, to: "tuned/b.safetensors")
      try workspace.expectRefusal(
        "{tuned}: 2 safetensors files (a.safetensors, b.safetensors) and no model.safetensors.index.json; "
          + "give one of the files")
      try FileManager.default.removeItem(atPath: workspace.tunedPath + "/b.safetensors")
      try workspace.folder.write("[]".utf8, to: "tuned/config.json")
      try workspace.expectRefusal("{tuned}/config.json: is no JSON object")
      let result = try Workspace.run(
        ["extract", workspace.basePath, workspace.tunedPath + "/config.json", "-o", workspace.outputPath])
      #expect(result.status == 65)
      #expect(
        result.errorOutput
          == workspace.filled("unbraid: {tuned}/config.json: is neither a folder nor a .safetensors file\n"))
    }

    @Test("every rule of the format is checked before anything is read", arguments: DamagedFile.all)
    func format(damage: DamagedFile) throws {
      let workspace = try Workspace(tunedFile: damage.bytes)
      try workspace.expectRefusal("{tuned}/model.safetensors: " + damage.sentence)
    }

    @Test("a file cut at any byte of its header, or in its data, is refused as cut")
    func truncation() throws {
      let folder = try TemporaryFolder()
      let path = folder.file("model.safetensors")
      let whole = RawSafetensors.file(ModelPair.small(layers: 1).tuned.tensors)
      let headerEnd = 8 + whole[0..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
      let cuts = Array(0...headerEnd) + Array(stride(from: headerEnd + 1, to: whole.count, by: 97))
      for length in cuts + [whole.count - 1] {
        try folder.write(whole[..<length], to: "model.safetensors")
        let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(path) }
        #expect(error?.kind == .badInput)
        let text = error?.description ?? ""
        #expect(text.hasPrefix(path + ": "))
        #expect(text.hasSuffix("it is cut short") || length < 8, "cut at \(length): \(text)")
      }
      try folder.write(whole, to: "model.safetensors")
      #expect(try Checkpoint.open(path).tensors.count == 6)
    }

    @Test("a header with any byte changed is read or refused, never a crash")
    func mutation() throws {
      let folder = try TemporaryFolder()
      let path = folder.file("model.safetensors")
      let whole = RawSafetensors.file([
        FixtureTensor("a.weight", shape: [2, 2], [1, 2, 3, 4]),
        FixtureTensor("a.bias", .i64, shape: [1], [1]),
      ])
      let interesting = Array("\"\\{}[],:0-9eE. u".utf8) + [0, 0x0A, 0x7F, 0x80, 0xC3, 0xFF]
      var refusedCount = 0
      for position in 0..<whole.count - 24 {
        for byte in interesting {
          var bytes = whole
          bytes[position] = byte
          try folder.write(bytes, to: "model.safetensors")
          do { _ = try Checkpoint.open(path) } catch let error as CheckpointError {
            #expect(error.kind == .badInput)
            refusedCount += 1
          }
        }
      }
      #expect(refusedCount > 1000)
    }

    @Test("the program says so of cut files too", arguments: [5, 100, 5000])
    func truncatedRun(length: Int) throws {
      let whole = RawSafetensors.file(ModelPair.small().tuned.tensors)
      let headerLength = whole[0..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
      let workspace = try Workspace(tunedFile: Array(whole[..<length]))
      let expected =
        switch length {
        case 5: "has 5 bytes, fewer than the 8 of a safetensors header's length"
        case 100: "declares a header of \(headerLength) bytes, but the file has 100; it is cut short"
        default:
          "the tensors need \(whole.count - 8 - headerLength) bytes after the header, but the file has "
            + "\(5000 - 8 - headerLength); it is cut short"
        }
      try workspace.expectRefusal("{tuned}/model.safetensors: " + expected)
    }

    @Test("an index and its shards must say the same", arguments: DamagedIndex.all)
    func shards(damage: DamagedIndex) throws {
      let workspace = try Workspace(ModelPair.small(), shardCount: 2)
      try workspace.folder.write(damage.index.utf8, to: "tuned/model.safetensors.index.json")
      try workspace.folder.write(
        RawSafetensors.file([FixtureTensor("a.weight", shape: [1, 1], [1])]), to: "tuned/a.safetensors")
      try workspace.folder.write(
        RawSafetensors.file(
          [FixtureTensor("a.weight", shape: [1, 1], [1]), FixtureTensor("b.weight", shape: [1, 1], [1])]),
        to: "tuned/ab.safetensors")
      try workspace.expectRefusal("{tuned}/model.safetensors.index.json: " + damage.sentence)
    }
  }
}

/// A safetensors file that breaks one rule.
struct DamagedFile: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let bytes: [UInt8]
  let sentence: String

  private init(_ name: String, _ header: String, dataCount: Int = 16, _ sentence: String) {
    self.init(
      name, RawSafetensors.file(header: header, data: Array(repeating: 0, count: dataCount)), sentence)
  }

  private init(_ name: String, _ bytes: [UInt8], _ sentence: String) {
    testDescription = name
    self.bytes = bytes
    self.sentence = sentence
  }

  private static func entry(_ name: String, _ shape: [Int], _ begin: Int, _ count: Int) -> String {
    RawSafetensors.entry(name, "F32", shape, begin, count)
  }

  private static let sound = entry("a.weight", [2, 2], 0, 16)

  static let all = [
    DamagedFile("empty", [], "has 0 bytes, fewer than the 8 of a safetensors header's length"),
    DamagedFile(
      "header length beyond the file", RawSafetensors.file(headerLength: 5000, header: "{}"),
      "declares a header of 5000 bytes, but the file has 10; it is cut short"),
    DamagedFile(
      "header length 2⁶³", RawSafetensors.file(headerLength: 1 << 63, header: "{}"),
      "declares a header of 9223372036854775808 bytes, limit 100000000"),
    DamagedFile("header is an array", "[1, 2]", "the header does not begin with '{'"),
    DamagedFile(
      "header without end", "{\(sound)", "byte 71: ',' or '}' is missing"),
    DamagedFile("duplicate name", "{\(sound),\(sound)}", "byte 72: the key 'a.weight' appears twice"),
    DamagedFile(
      "overlap", "{\(sound),\(entry("b.weight", [1], 12, 4))}",
      "tensor 'b.weight' begins at byte 12 of the data, inside the one before, which ends at 16"),
    DamagedFile(
      "gap", "{\(sound),\(entry("b.weight", [1], 20, 4))}", dataCount: 24,
      "tensor 'b.weight' begins at byte 20 of the data, leaving a gap after the one that ends at 16"),
    DamagedFile("bytes at the end", "{\(sound)}", dataCount: 20, "4 bytes follow the last tensor"),
    DamagedFile(
      "shape overflow", "{\(entry("a.weight", [1 << 32, 1 << 32], 0, 16))}",
      "tensor 'a.weight' has shape [4294967296, 4294967296], whose size exceeds 2⁶³ bits"),
    DamagedFile(
      "wrong size", "{\(entry("a.weight", [2, 2], 0, 12))}", dataCount: 12,
      "tensor 'a.weight' declares 12 bytes, but shape [2, 2] of F32 needs 16"),
    DamagedFile(
      "unknown dtype", "{\(RawSafetensors.entry("a.weight", "F128", [1], 0, 16))}",
      "tensor 'a.weight' has the unknown dtype 'F128'"),
  ]
}

/// An index that does not fit the shards `a` (a.weight) and `ab` (a.weight, b.weight).
struct DamagedIndex: Sendable, CustomTestStringConvertible {
  let index: String
  let sentence: String
  var testDescription: String { sentence }

  private init(_ fileNames: [String: String], _ sentence: String) {
    self.init(text: String(decoding: RawSafetensors.index(fileNames), as: UTF8.self), sentence)
  }

  private init(text: String, _ sentence: String) {
    index = text
    self.sentence = sentence
  }

  static let all = [
    DamagedIndex(
      ["a.weight": "c.safetensors", "b.weight": "c.safetensors"],
      "names the shard 'c.safetensors' for 2 tensors, but there is no such file"),
    DamagedIndex(
      ["a.weight": "../base/model.safetensors"],
      "tensor 'a.weight' is in '../base/model.safetensors', which is no plain file name"),
    DamagedIndex(
      ["a.weight": "a.safetensors", "b.weight": "ab.safetensors"],
      "tensor 'a.weight' is in two shards, 'a.safetensors' and 'ab.safetensors'"),
    DamagedIndex(
      ["a.weight": "a.safetensors", "c.weight": "a.safetensors"],
      "tensor 'c.weight' should be in 'a.safetensors', but is not there"),
    DamagedIndex(
      ["b.weight": "a.safetensors", "a.weight": "ab.safetensors"],
      "tensor 'a.weight' should be in 'ab.safetensors', but is in 'a.safetensors'"),
    DamagedIndex(
      ["a.weight": "ab.safetensors"],
      "tensor 'b.weight' is in the shard 'ab.safetensors', but not in the index"),
    DamagedIndex(text: "{}", "there is no object 'weight_map'"),
    DamagedIndex(text: "{\"weight_map\":{}}", "'weight_map' names no tensor"),
    DamagedIndex(text: "{\"weight_map\":", "byte 14: the JSON text ends early"),
  ]
}
