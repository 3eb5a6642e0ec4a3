internal import Analysis
internal import Foundation
internal import LinearAlgebra
internal import WeightSources

/// What a rank does for a scan: reads weights, or differences, and computes their singular values.
struct ScanWork: UnitWork {
  private let plan: ScanPlan
  private let reader = SoleReader()

  init(_ plan: ScanPlan) { self.plan = plan }

  func load(_ unit: Int, group: RankGroup) throws -> SharedMatrix<Float> {
    SharedMatrix(try reader.deltas.readDelta(plan.modules[plan.units[unit]].pair).takeMatrix())
  }

  func compute(_ unit: Int, _ loaded: SharedMatrix<Float>, group: RankGroup) throws -> [UInt8] {
    let (rows, columns) = loaded.matrix.shape
    let subject: SpectrumMeasures.Subject = plan.request.base == nil ? .weights : .difference
    return try ScanResult(
      singularValues: singularValues(of: loaded.matrix), rows: rows, columns: columns, of: subject
    ).encoded()
  }
}

/// What came of one module, as it travels to rank 0 and into the journal.
struct ScanResult {
  let singularValues: [Double]
  let signalToNoise: SignalToNoise
  let measures: SpectrumMeasures

  /// What precedes the values.
  private struct Header: Codable {
    let signalToNoise: SignalToNoise
    let measures: SpectrumMeasures
  }

  init(singularValues: [Double], rows: Int, columns: Int, of subject: SpectrumMeasures.Subject) {
    self.singularValues = singularValues
    signalToNoise = SignalToNoise(singularValues: singularValues, rows: rows, columns: columns)
    measures = SpectrumMeasures(singularValues: singularValues, rows: rows, columns: columns, of: subject)
  }

  /// A length, a JSON header of that length, then the singular values.
  func encoded() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.nonConformingFloatEncodingStrategy = Self.nonFinite.encoding
    let header = try encoder.encode(Header(signalToNoise: signalToNoise, measures: measures))
    return UnitNumber.encode(header.count) + Array(header) + valueBytes
  }

  /// The result that these bytes were made of.
  init(decoding bytes: [UInt8]) throws {
    let length = UnitNumber.decode(bytes)
    let begin = UnitNumber.byteCount
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = Self.nonFinite.decoding
    let header = try decoder.decode(Header.self, from: Data(bytes[begin..<begin + length]))
    signalToNoise = header.signalToNoise
    measures = header.measures
    singularValues = stride(from: begin + length, to: bytes.count, by: UnitNumber.byteCount).map {
      Double(bitPattern: UInt64(bitPattern: Int64(UnitNumber.decode(bytes[$0..<$0 + UnitNumber.byteCount]))))
    }
  }

  /// The singular values as safetensors stores F64.
  var valueBytes: [UInt8] {
    singularValues.flatMap { UnitNumber.encode(Int(Int64(bitPattern: $0.bitPattern))) }
  }

  private static let nonFinite = (
    encoding: JSONEncoder.NonConformingFloatEncodingStrategy.convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN"),
    decoding: JSONDecoder.NonConformingFloatDecodingStrategy.convertFromString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
  )
}
