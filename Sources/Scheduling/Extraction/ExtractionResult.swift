package import Adapters
internal import Foundation
package import WeightSources

/// One unit's result, as it travels to the coordinator and into the journal.
package enum ExtractionResult {
  /// A module's record and its factors; none if the module did not change.
  case decomposed(ModuleRecord, LoRAFactors?)
  /// How much a left-out tensor changed.
  case measured(DifferenceMeasure)

  /// What precedes the factors' bytes.
  private struct Header: Codable {
    var record: ModuleRecord?
    var measure: DifferenceMeasure?
    var factorRank = 0
    var byteCountOfA = 0
    var byteCountOfB = 0
    var residualEnergy = 0.0
  }

  private static func factors(_ header: Header, _ payload: ArraySlice<UInt8>) -> LoRAFactors {
    let afterA = payload.dropFirst(header.byteCountOfA)
    let certificate = afterA.dropFirst(header.byteCountOfB)
    return LoRAFactors(
      a: Array(payload.prefix(header.byteCountOfA)), b: Array(afterA.prefix(header.byteCountOfB)),
      rank: header.factorRank, residualEnergy: header.residualEnergy,
      certificate: certificate.isEmpty
        ? nil : SelectionCertificate(decoding: certificate, count: header.factorRank))
  }

  /// What a unit's failure hands in instead: a length of zero and the failure.
  static func encoded(failure: JobFailure) throws -> [UInt8] {
    UnitNumber.encode(0) + Array(try JSONEncoder().encode(failure))
  }

  /// The failure that these bytes are, if they are no result.
  static func failure(in bytes: [UInt8]) throws -> JobFailure? {
    guard UnitNumber.decode(bytes) == 0 else { return nil }
    return try JSONDecoder().decode(JobFailure.self, from: Data(bytes.dropFirst(UnitNumber.byteCount)))
  }

  /// A length, a JSON header of that length, then the bytes of A, of B and of their certificate, if there is one.
  package func encoded() throws -> [UInt8] {
    var header = Header()
    var factors: LoRAFactors?
    switch self {
    case .decomposed(let record, let written):
      header.record = record
      factors = written
    case .measured(let measure): header.measure = measure
    }
    if let factors {
      header.factorRank = factors.rank
      header.byteCountOfA = factors.a.count
      header.byteCountOfB = factors.b.count
      header.residualEnergy = factors.residualEnergy
    }
    let json = try JSONEncoder().encode(header)
    var bytes = UnitNumber.encode(json.count)
    bytes.reserveCapacity(8 + json.count + (factors.map { $0.a.count + $0.b.count } ?? 0))
    bytes += json
    if let factors {
      bytes += factors.a
      bytes += factors.b
      bytes += factors.certificate?.encoded ?? []
    }
    return bytes
  }

  /// The result that these bytes were made of.
  package init(decoding bytes: [UInt8]) throws {
    let headerLength = UnitNumber.decode(bytes)
    let header = try JSONDecoder().decode(Header.self, from: Data(bytes[8..<8 + headerLength]))
    if let measure = header.measure {
      self = .measured(measure)
      return
    }
    guard let record = header.record else { preconditionFailure("a result has a record or a measure") }
    self = .decomposed(
      record, header.factorRank == 0 ? nil : Self.factors(header, bytes[(8 + headerLength)...]))
  }
}
