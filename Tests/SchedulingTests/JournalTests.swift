import Checkpoints
import Foundation
import Scheduling
import TestSupport
import Testing

@Suite struct JournalTests {
  private let folder: TemporaryFolder
  private var path: String { folder.file("journal") }
  private let identity = JobIdentity(options: [("--rank", "4")], inputs: [])

  init() throws { folder = try TemporaryFolder() }

  private func open(_ identity: JobIdentity? = nil) throws -> Journal {
    try Journal(folder: path, identity: identity ?? self.identity)
  }

  @Test("what was appended is read back, also by the next run, and a unit done again replaces the old one")
  func carriesOver() throws {
    let first = try open()
    #expect(first.carriedOver.isEmpty)
    for unit in [3, 0, 7] { try first.append(unit, Array(repeating: UInt8(unit), count: unit)) }
    try first.flush()
    #expect(first.finishedCount == 3)
    #expect(try first.read(7) == Array(repeating: 7, count: 7))
    #expect(try first.read(1) == nil)
    try first.append(3, [9])
    first.close()
    let second = try open()
    #expect(second.carriedOver == [0, 3, 7])
    #expect(try second.read(3) == [9])
    #expect(try second.read(0) == [])
    second.close()
  }

  @Test("results that come together go into one file, and a file never holds half of them")
  func gathers() throws {
    let journal = try open()
    for unit in 0..<50 { try journal.append(unit, [UInt8(unit)]) }
    try journal.flush()
    let files = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    #expect(files.count < 4 && files.last == "job.json")
    journal.close()
  }

  @Test("what a kill leaves half written is not there for the next run")
  func torn() throws {
    try fill()
    try FileManager.default.copyItem(
      atPath: path + "/000001.safetensors", toPath: path + "/000002.safetensors.tmp")
    let journal = try open()
    #expect(journal.carriedOver == [0, 1] && journal.notices.isEmpty)
    try journal.append(2, [2])
    try journal.flush()
    #expect(try journal.read(2) == [2])
    journal.close()
  }

  @Test("a flipped bit costs one unit and a message")
  func flipped() throws {
    try fill()
    let file = try flipLastBit()
    let journal = try open()
    #expect(journal.carriedOver == [0])
    #expect(journal.notices.count == 1)
    #expect(journal.notices[0].hasPrefix("\(file): unit.1 has the hash "))
    journal.close()
  }

  @Test("a file that was cut costs its units and a message", arguments: [0, 5, 60, -1])
  func cut(length: Int) throws {
    try fill()
    let file = path + "/000001.safetensors"
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: file)))
    try Data(bytes.prefix(length < 0 ? bytes.count + length : length)).write(to: URL(filePath: file))
    let journal = try open()
    #expect(journal.carriedOver.isEmpty)
    #expect(journal.notices.count == 1 && journal.notices[0].hasPrefix(file))
    journal.close()
  }

  @Test("another job is refused with what differs, unless nothing is lost by it")
  func otherJob() throws {
    let other = JobIdentity(options: [("--rank", "8"), ("--head", "on")], inputs: [])
    try fill()
    let error = OutputError.otherJob(
      path: path, differences: ["--rank 4 there, 8 here", "--head not given there, on here"])
    #expect(throws: error) { try open(other) }
    try FileManager.default.removeItem(atPath: path + "/000001.safetensors")
    #expect(try open(other).carriedOver.isEmpty)
    #expect(throws: Never.self) { try open(other) }
  }

  @Test("work of which nobody can tell what it belongs to is refused and kept")
  func unknownJob() throws {
    try fill()
    for damage in [{ try Data("torn".utf8).write(to: $0) }, { try FileManager.default.removeItem(at: $0) }] {
      try damage(URL(filePath: path + "/job.json"))
      #expect(throws: OutputError.unknownJob(path: path + "/job.json", fileCount: 1)) { try open() }
      #expect(FileManager.default.fileExists(atPath: path + "/000001.safetensors"))
    }
    try FileManager.default.removeItem(atPath: path + "/000001.safetensors")
    #expect(try open().carriedOver.isEmpty)
  }

  @Test("units that another build numbers otherwise are not mixed up")
  func otherUnits() throws {
    func identity(_ units: [String], kernels: String = "A") -> JobIdentity {
      JobIdentity(options: [], inputs: [], units: units, circumstances: [("BLAS kernels", kernels)])
    }
    let journal = try open(identity(["first", "second"]))
    try journal.append(0, [1])
    journal.close()
    let error = #expect(throws: OutputError.self) { try open(identity(["second", "first"])) }
    #expect(error?.description.contains("another build of unbraid planned it") ?? false)
    let elsewhere = try open(identity(["first", "second"], kernels: "B"))
    #expect(elsewhere.carriedOver == [0])
    #expect(elsewhere.notices == ["BLAS kernels B now, A then; the last bits may differ"])
    elsewhere.close()
  }

  @Test("a unit that was damaged and done again is no longer spoken of")
  func mended() throws {
    try fill()
    _ = try flipLastBit()
    let journal = try open()
    #expect(!journal.carriedOver.contains(1))
    try journal.append(1, [7])
    journal.close()
    let next = try open()
    #expect(next.carriedOver == [0, 1] && next.notices.isEmpty)
    #expect(try next.read(1) == [7])
    next.close()
  }

  @Test("inputs differ by size, header, time of change and name")
  func inputs() throws {
    let file = folder.file("model.safetensors")
    func input(_ value: Double, _ name: String = "weight", time: Double = 1e9) throws -> InputFile {
      let tensor = FixtureTensor(name, shape: [1], [value])
      try Data(RawSafetensors.file([tensor])).write(to: URL(filePath: file))
      try FileManager.default.setAttributes(
        [.modificationDate: Date(timeIntervalSince1970: time)], ofItemAtPath: file)
      return try InputFile(path: file)
    }
    func differences(_ before: InputFile, _ now: InputFile) -> [String] {
      JobIdentity(options: [], inputs: [now]).differences(to: JobIdentity(options: [], inputs: [before]))
    }
    let first = try input(1)
    #expect(try differences(first, input(2)).isEmpty, "weights are not read")
    #expect(
      try differences(first, input(1, time: 1e9 + 60)) == [
        "\(file) was changed on 2001-09-09T01:47:40.000Z, after the 2001-09-09T01:46:40.000Z of then"
      ])
    #expect(try differences(first, input(1, "weighT"))[0].hasPrefix("\(file) has another header (hash "))
    #expect(try differences(first, input(1, "weights.of.a.longer.name"))[0].contains(" bytes now and had "))
    #expect(try first.isUnchanged() == false)
    #expect(try input(1).isUnchanged())
    let others = try (1...3).map { number in
      try FileManager.default.copyItem(atPath: file, toPath: "\(file).\(number)")
      return try InputFile(path: "\(file).\(number)")
    }
    #expect(
      JobIdentity(options: [], inputs: others).differences(to: JobIdentity(options: [], inputs: [first])) == [
        "\(file).1 and 2 more files are read here, but not there", "\(file) is read there, but not here",
      ])
    #expect(
      JobIdentity(options: [], inputs: [first] + others.prefix(2)).differences(
        to: JobIdentity(options: [], inputs: [first])) == [
          "\(file).1 and 1 more file are read here, but not there"
        ])
  }

  @Test("a device that refuses ends the journal with its reason, and keeps what was durable")
  func refusingDevice() throws {
    let journal = try open()
    try journal.append(0, [1])
    try journal.flush()
    // A folder under the next segment's temporary name stands in its way, also for root.
    _ = try folder.makeFolder("journal/000002.safetensors.tmp/full")
    try journal.append(1, [1])
    #expect(throws: CheckpointError.self) { try journal.flush() }
    #expect(throws: CheckpointError.self) { try journal.append(2, [1]) }
    #expect(journal.finishedCount == 1)
    journal.close()
  }

  /// Damages the last unit of the first segment; returns its path.
  private func flipLastBit() throws -> String {
    let file = path + "/000001.safetensors"
    var bytes = [UInt8](try Data(contentsOf: URL(filePath: file)))
    bytes[bytes.count - 1] ^= 4
    try Data(bytes).write(to: URL(filePath: file))
    return file
  }

  private func fill() throws {
    let journal = try open()
    try journal.append(0, Array(0..<100))
    try journal.append(1, Array(100..<200))
    journal.close()
  }
}
