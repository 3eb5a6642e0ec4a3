import Checkpoints
import Foundation
import Glibc
import TestSupport
import Testing
import WeightSources

extension TroubleSuite {
  @Suite struct FaultTests {
    @Test("a file that is cut while the job runs is an error sentence, not a crash", arguments: [nil, 2])
    func cutWhileRunning(ranks: Int?) throws {
      // Four gigabytes of holes a side, which lie on no disk and are not read to their end: reading them would last
      // many times longer than noticing that it has begun, also where other tests have the processors.
      let moduleCount = 256
      let model = SparseModel(moduleCount: moduleCount)
      let folder = try TemporaryFolder()
      for name in ["base", "tuned"] { try model.write(to: folder.makeFolder(name)) }
      let path = folder.file("tuned/model.safetensors")
      let cut = Thread {
        // The output's folder is made after the plan and before the first read.
        while !FileManager.default.fileExists(atPath: folder.file("out.partial")) { usleep(200) }
        truncate(path, off_t(model.byteCount / moduleCount))
      }
      cut.start()
      let result = try Workspace.run(
        ["extract", folder.file("base"), folder.file("tuned"), "-o", folder.file("out"), "--rank", "4"],
        ranks: ranks)
      #expect(result.status == 65)
      let sentence = try #require(result.sentences.last)
      #expect(sentence.hasPrefix("unbraid: " + (ranks == nil ? path : "rank ")))
      #expect(sentence.contains("\(path): tensor 'model.layers."))
      #expect(sentence.hasSuffix(" bytes now; it was changed or cut while it was read"))
      #expect(!folder.contents.contains("out"))
    }

    @Test(
      "a reader tells where the tensor ends and where the file does",
      arguments: [100, 0, -100], [false, true])
    func cutBetweenPlanAndRead(bytesLeft: Int, wholeDelta: Bool) throws {
      let workspace = try Workspace()
      let pairing = try Pairing(base: .open(workspace.basePath), tuned: .open(workspace.tunedPath))
      let pair = try #require(pairing.pairs.first { $0.name == Name.up + ".weight" })
      let path = workspace.tunedPath + "/model.safetensors"
      let size = pair.tuned.offset + bytesLeft
      truncate(path, off_t(size))
      let expected = CheckpointError.shrunk(
        path: path, tensor: pair.name, neededSize: pair.tuned.offset + pair.tuned.byteCount, size: size)
      #expect(throws: expected) {
        if wholeDelta { _ = try DeltaReader().readDelta(pair) } else { _ = try DeltaReader().measure(pair) }
      }
    }

    @Test("a NaN on any rank ends the job within 10 s, with one sentence that names the rank")
    func failureUnderMPI() throws {
      var pair = ModelPair.small(layers: 16)
      let name = "model.layers.13.mlp.up_proj.weight"
      pair.tuned.set(name, at: 2, to: .nan)
      let workspace = try Workspace(pair)
      let before = workspace.folder.contents
      let start = ContinuousClock.now
      let result = try workspace.extract(["--rank", "4"], ranks: 3)
      #expect(ContinuousClock.now - start < .seconds(10))
      #expect(result.status == 65)
      #expect(result.output.isEmpty)
      let sentence =
        "\(workspace.tunedPath)/model.safetensors: tensor '\(name)' is nan at [0, 2]; "
        + "a checkpoint with such weights cannot be decomposed"
      let allowed = (0..<3).map { ["unbraid: rank \($0): \(sentence)"] }
      #expect(allowed.contains(result.sentences), "\(result.errorOutput)")
      #expect(workspace.folder.contents == before)
    }

    @Test("models that cannot be opened end a job of several ranks too")
    func missingUnderMPI() throws {
      let result = try Workspace.run(["plan", "/nowhere", "/nowhere"], ranks: 2)
      #expect(result.status == 65)
      #expect(result.sentences == ["unbraid: rank 0: /nowhere: no such file or folder"])
    }

    @Test("a rank's memory stays below 300 MB and twice the largest module", arguments: ["auto", "krylov"])
    func peakMemory(method: String) throws {
      let (rows, columns) = (6000, 2000)
      var random = SplitMix64(state: 5)
      func tensors() -> [FixtureTensor] {
        (0..<3).map { layer in
          var bytes: [UInt8] = []
          bytes.reserveCapacity(rows * columns * 2)
          for _ in 0..<rows * columns {
            let word = UInt16(Float(random.nextUniform()).bitPattern >> 16)
            bytes.append(UInt8(truncatingIfNeeded: word))
            bytes.append(UInt8(word >> 8))
          }
          return FixtureTensor(
            "model.layers.\(layer).mlp.up_proj.weight", .bf16, shape: [rows, columns], bytes: bytes)
        }
      }
      let workspace = try Workspace(
        ModelPair(base: ModelFixture(tensors()), tuned: ModelFixture(tensors())))
      // A flat spectrum is the worst case of the iteration and of its memory; a loose tolerance keeps it short.
      let adapter = try workspace.adapter(["--rank", "16", "--method", method, "--tolerance", "0.2"])
      for rank in adapter.report.ranks {
        #expect(rank.peakMemoryBytes < 300_000_000 + 2 * rows * columns * 4)
      }
    }
  }
}

/// A model of zeros that takes no room on the disk, since its files are holes.
private struct SparseModel {
  private static let order = 2048
  private let header: [UInt8]
  let byteCount: Int

  init(moduleCount: Int) {
    let matrixBytes = Self.order * Self.order * 4
    let entries = (0..<moduleCount).map { index in
      RawSafetensors.entry(
        "model.layers.\(index + 10).mlp.up_proj.weight", "F32", [Self.order, Self.order], index * matrixBytes,
        matrixBytes)
    }
    header = RawSafetensors.file(header: "{" + entries.joined(separator: ",") + "}")
    byteCount = header.count + moduleCount * matrixBytes
  }

  func write(to folder: String) throws {
    let path = folder + "/model.safetensors"
    try Data(header).write(to: URL(filePath: path))
    try #require(truncate(path, off_t(byteCount)) == 0)
  }
}
