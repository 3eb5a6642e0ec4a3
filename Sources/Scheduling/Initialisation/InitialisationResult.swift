internal import Foundation

/// What is known about one initialised module; `initialisation.json` lists them.
public struct InitialisedModule: Sendable, Codable {
  /// Its path in the checkpoint.
  public let module: String
  /// Its path as PEFT sees it.
  public let path: String
  /// The shape of its stored weight.
  public let shape: [Int]
  /// Whether that is in × out.
  public let isTransposed: Bool
  /// How many triplets, columns or singular values are trained.
  public let rank: Int
  /// ‖W‖_F².
  public let energy: Double
  /// ‖B·A‖_F² of the factors as they are stored.
  public let productEnergy: Double
  /// The singular values of the trained part; for OLoRA the diagonal of R, for CorDA those of W·C.
  public let values: [Double]
  /// What CorDA added to the covariance's diagonal, as a multiple of its mean.
  public let damping: Double?
}

/// One unit's result, as it travels to the coordinator and into the journal.
struct InitialisationResult {
  let record: InitialisedModule
  /// The tensors' bytes, in the order of the method's names for them.
  let tensors: [[UInt8]]

  private struct Header: Codable {
    var record: InitialisedModule
    var byteCounts: [Int]
  }

  init(record: InitialisedModule, tensors: [[UInt8]]) {
    self.record = record
    self.tensors = tensors
  }

  /// A length, a JSON header of that length, then the tensors' bytes.
  func encoded() throws -> [UInt8] {
    let json = try JSONEncoder().encode(Header(record: record, byteCounts: tensors.map(\.count)))
    var bytes = UnitNumber.encode(json.count)
    bytes.reserveCapacity(bytes.count + json.count + tensors.reduce(0) { $0 + $1.count })
    bytes += json
    for tensor in tensors { bytes += tensor }
    return bytes
  }

  /// The result that these bytes were made of.
  init(decoding bytes: [UInt8]) throws {
    var position = UnitNumber.byteCount + UnitNumber.decode(bytes)
    let header = try JSONDecoder().decode(
      Header.self, from: Data(bytes[UnitNumber.byteCount..<position]))
    record = header.record
    tensors = header.byteCounts.map { count in
      defer { position += count }
      return Array(bytes[position..<position + count])
    }
  }
}
