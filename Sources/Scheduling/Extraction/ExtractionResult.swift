package import Adapters
internal import Foundation
package import WeightSources

/// One unit's result, as it travels to the coordinator and into the journal.
package enum ExtractionResult {
  /// A module's record and its factors; none if the module did not change.
  case decomposed(ModuleRecord, LoRAFactors?)
  /// A module's record and its triplets; none if the module did not change.
  case triplets(ModuleRecord, ModuleTriplets?)
  /// How much a left-out tensor changed.
  case measured(DifferenceMeasure)

  /// What precedes the bytes of factors or vectors.
  private struct Header: Codable {
    var record: ModuleRecord?
    var measure: DifferenceMeasure?
    var factorRank = 0
    var byteCountOfA = 0
    var byteCountOfB = 0
    var residualEnergy = 0.0
    /// For triplets, whose bytes are Vh and U in the places of A and B.
    var binadeEnergy: Double?
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

  private static func triplets(
    _ header: Header, _ record: ModuleRecord, binadeEnergy: Double, _ payload: ArraySlice<UInt8>
  ) -> ModuleTriplets {
    ModuleTriplets(
      u: Array(payload.dropFirst(header.byteCountOfA)), values: record.singularValues,
      vh: Array(payload.prefix(header.byteCountOfA)), residualEnergy: header.residualEnergy,
      binadeEnergy: binadeEnergy)
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
    var payload: [[UInt8]] = []
    switch self {
    case .decomposed(let record, let factors):
      header.record = record
      if let factors {
        header.factorRank = factors.rank
        header.residualEnergy = factors.residualEnergy
        payload = [factors.a, factors.b, factors.certificate?.encoded ?? []]
      }
    case .triplets(let record, let triplets):
      header.record = record
      header.binadeEnergy = triplets?.binadeEnergy ?? 0
      if let triplets {
        header.factorRank = triplets.rank
        header.residualEnergy = triplets.residualEnergy
        payload = [triplets.vh, triplets.u]
      }
    case .measured(let measure): header.measure = measure
    }
    if !payload.isEmpty {
      header.byteCountOfA = payload[0].count
      header.byteCountOfB = payload[1].count
    }
    let json = try JSONEncoder().encode(header)
    var bytes = UnitNumber.encode(json.count)
    bytes.reserveCapacity(8 + json.count + payload.reduce(0) { $0 + $1.count })
    bytes += json
    for part in payload { bytes += part }
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
    let payload = bytes[(8 + headerLength)...]
    let isEmpty = header.factorRank == 0
    self =
      if let binades = header.binadeEnergy {
        .triplets(
          record, isEmpty ? nil : Self.triplets(header, record, binadeEnergy: binades, payload))
      } else {
        .decomposed(record, isEmpty ? nil : Self.factors(header, payload))
      }
  }
}
