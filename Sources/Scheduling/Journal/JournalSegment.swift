internal import Checkpoints
internal import Foundation

/// One file of a journal: the results of some units, each with its hash.
///
/// A safetensors file of byte tensors, since its writer lets files appear whole and durable, and its reader
/// refuses what is cut or damaged; the hashes are in its metadata.
struct JournalSegment {
  let path: String
  /// Where each unit's result is.
  private(set) var results: [Int: TensorLocation] = [:]

  /// Writes results as a new segment: whole and durable when this returns, or not there.
  ///
  /// - Throws: `CheckpointError.system` if the device refuses.
  init(writing results: [(unit: Int, bytes: [UInt8])], to path: String) throws {
    self.path = path
    var writer = try SafetensorsWriter(
      path: path,
      slots: results.map {
        SafetensorsWriter.Slot(name: name($0.unit), elementType: .u8, largestShape: [$0.bytes.count])
      },
      metadata: Dictionary(
        uniqueKeysWithValues: results.map { (name($0.unit), ContentHash(of: $0.bytes).description) }))
    for (unit, bytes) in results { try writer.write(bytes, to: name(unit), shape: [bytes.count]) }
    try writer.finish()
    for tensor in try SafetensorsHeader.read(path: path).tensors { self.results[try unit(tensor)] = tensor }
  }

  /// Opens a segment that another run wrote; units whose bytes are not those that were written are left out.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - problem: Asked for each unit whose result describes what lies elsewhere: what is wrong with that, if anything.
  ///   - damaged: Called for each unit that is left out, with its number and the sentence that says why.
  /// - Throws: `CheckpointError` if nothing of the file can be trusted.
  init(
    opening path: String, problem: (Int, [UInt8]) throws -> String?, damaged: (Int, String) -> Void
  ) throws {
    self.path = path
    let header = try SafetensorsHeader.read(path: path)
    for tensor in header.tensors {
      let unit = try unit(tensor)
      let bytes = try tensor.bytes()
      let found = ContentHash(of: bytes)
      if found.description != header.metadata[tensor.name] {
        damaged(
          unit,
          "\(path): \(tensor.name) has the hash \(found), written as "
            + "\(header.metadata[tensor.name] ?? "none"); it is computed again")
      } else if let problem = try problem(unit, bytes) {
        damaged(unit, problem)
      } else {
        results[unit] = tensor
      }
    }
  }

  /// The result of a unit of this segment.
  ///
  /// - Throws: `CheckpointError` if the file cannot be read any more.
  func read(_ unit: Int) throws -> [UInt8]? {
    try results[unit]?.bytes()
  }

  private func unit(_ tensor: TensorLocation) throws -> Int {
    guard let number = Int(tensor.name.dropFirst(namePrefix.count)), number >= 0 else {
      throw CheckpointError.malformedTensor(path: path, tensor: tensor.name, problem: "is no unit of a job")
    }
    return number
  }
}

private let namePrefix = "unit."

private func name(_ unit: Int) -> String { "\(namePrefix)\(unit)" }
