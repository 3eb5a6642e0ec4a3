import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct SafetensorsWriterTests {
  private let slots = [
    SafetensorsWriter.Slot(name: "b", elementType: .f32, largestShape: [4, 3]),
    SafetensorsWriter.Slot(name: "a", elementType: .bf16, largestShape: [5]),
    SafetensorsWriter.Slot(name: "c", elementType: .f32, largestShape: [2, 2]),
    SafetensorsWriter.Slot(name: "d", elementType: .f32, largestShape: [0]),
  ]

  private func bytes(_ count: Int, _ seed: UInt8) -> [UInt8] { (0..<count).map { UInt8($0 % 200) &+ seed } }

  @Test("any order of writing gives the same file, with gaps closed, that reads back")
  func orderIndependent() throws {
    let folder = try TemporaryFolder()
    var files: [Data] = []
    for order in [["a", "b", "c", "d"], ["d", "c", "b", "a"], ["c", "a", "d", "b"]] {
      let path = folder.file(order.joined() + ".safetensors")
      var writer = try SafetensorsWriter(path: path, slots: slots, metadata: ["format": "pt"])
      for name in order {
        switch name {
        case "a": try writer.write(bytes(10, 1), to: "a", shape: [5])
        case "b": try writer.write(bytes(24, 2), to: "b", shape: [2, 3])
        case "c": try writer.write(bytes(16, 3), to: "c", shape: [2, 2])
        default: try writer.omit("d")
        }
      }
      try writer.finish()
      files.append(try Data(contentsOf: URL(fileURLWithPath: path)))
      let tensors = try SafetensorsHeader.read(path: path).tensors
      #expect(tensors.map(\.name) == ["b", "c", "a"])
      let found = try #require(tensors.first { $0.name == "c" })
      #expect(Array(files[files.count - 1][found.offset..<found.offset + 16]) == bytes(16, 3))
    }
    #expect(files.allSatisfy { $0 == files[0] })
  }

  @Test("a dropped writer leaves nothing, and a missing tensor is named")
  func unfinished() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("x.safetensors")
    do {
      var writer = try SafetensorsWriter(path: path, slots: slots, metadata: [:])
      try writer.write(bytes(10, 1), to: "a", shape: [5])
      #expect(
        throws: CheckpointError.slotMismatch(
          path: path, tensor: "a", problem: "has shape [6], more than the [5] laid out for it")
      ) { try writer.write(bytes(12, 1), to: "a", shape: [6]) }
      try writer.finish()
      Issue.record("finish() accepted a file with tensors missing")
    } catch let error as CheckpointError {
      #expect("\(error)" == "\(path): tensor 'b' was never written")
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }
}
