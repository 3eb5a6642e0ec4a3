import Foundation
import LinearAlgebra
import TestSupport
import Testing

/// What an extraction wrote, read without the program's own code.
struct AdapterFolder {
  let tensors: [String: FixtureTensor]
  let report: Report
  private let files: [String: Data]

  /// The part of report.json that the tests check, under the names that stand in the file.
  ///
  /// What only an extraction has is nothing or zero in the report of an adapter that was made of a decomposition.
  struct Report: Decodable {
    let bytesRead: Int
    let carriedOverCount: Int
    let modules: [Module]
    let leftOut: [LeftOut]
    let notes: [String]
    let ranks: [Rank]
    let seconds: Double
    let version: String
    let blas: String

    private enum CodingKeys: CodingKey {
      case bytesRead, carriedOverCount, modules, leftOut, notes, ranks, seconds, version, blas
    }

    init(from decoder: any Decoder) throws {
      let fields = try decoder.container(keyedBy: CodingKeys.self)
      bytesRead = try fields.decodeIfPresent(Int.self, forKey: .bytesRead) ?? 0
      carriedOverCount = try fields.decodeIfPresent(Int.self, forKey: .carriedOverCount) ?? 0
      ranks = try fields.decodeIfPresent([Rank].self, forKey: .ranks) ?? []
      blas = try fields.decodeIfPresent(String.self, forKey: .blas) ?? ""
      modules = try fields.decode([Module].self, forKey: .modules)
      leftOut = try fields.decode([LeftOut].self, forKey: .leftOut)
      notes = try fields.decode([String].self, forKey: .notes)
      seconds = try fields.decode(Double.self, forKey: .seconds)
      version = try fields.decode(String.self, forKey: .version)
    }

    struct Module: Decodable {
      let module: String
      let shape: [Int]
      let rank: Int
      let requestedRank: Int
      let method: String
      let passes: Int
      let norm: Double
      let residual: Double
      let writtenResidual: Double
      let estimatedLoss: Double
      let isConverged: Bool
      let singularValues: [Double]
      let seconds: Double
      let bytesRead: Int
      let mpiRank: Int
      let rankCount: Int
    }

    struct LeftOut: Decodable {
      let tensor: String
      let reason: String
      let difference: Difference?
    }

    struct Difference: Decodable {
      let energy: Double
      let baseEnergy: Double
      let largest: Double
    }

    struct Rank: Decodable {
      let mpiRank: Int
      let unitCount: Int
      let sharedCount: Int
      let bytesRead: Int
      let bytesSent: Int?
      let readingSeconds: Double
      let computingSeconds: Double
      let waitingSeconds: Double
      let threadCount: Int
      let kernels: String
      let exchangedBytes: Int
      let peakMemoryBytes: Int
    }
  }

  init(_ path: String) throws {
    // All at once: the folder goes with the test's workspace, which may be dropped before this.
    files = try Dictionary(
      uniqueKeysWithValues: FileManager.default.contentsOfDirectory(atPath: path).map {
        ($0, try Data(contentsOf: URL(filePath: path + "/" + $0)))
      })
    tensors = try RawSafetensors.read(path + "/adapter_model.safetensors")
    report = try JSONDecoder().decode(Report.self, from: files["report.json"] ?? Data())
  }

  /// The modules that have factors in the file, by name.
  var adapted: [String] {
    tensors.keys.compactMap { name in
      for ending in [".lora_A.weight", ".lora_embedding_A"] where name.hasSuffix(ending) {
        return String(name.dropFirst("base_model.model.".count).dropLast(ending.count))
      }
      return nil
    }.sorted()
  }

  /// The record of a module, which must be there.
  subscript(_ module: String) -> Report.Module {
    guard let record = report.modules.first(where: { $0.module == module }) else {
      preconditionFailure("no record of '\(module)'")
    }
    return record
  }

  func bytes(_ name: String) throws -> Data { try #require(files[name]) }

  func text(_ name: String) throws -> String { String(decoding: try bytes(name), as: UTF8.self) }

  func configuration() throws -> [String: Any] {
    try JSONSerialization.jsonObject(with: bytes("adapter_config.json")) as? [String: Any] ?? [:]
  }

  /// A and B of a module; nil if it has no factors.
  func factors(_ module: String) -> (a: FixtureTensor, b: FixtureTensor)? {
    let prefix = "base_model.model.\(module)."
    for (a, b) in [("lora_A.weight", "lora_B.weight"), ("lora_embedding_A", "lora_embedding_B")] {
      if let a = tensors[prefix + a], let b = tensors[prefix + b] { return (a, b) }
    }
    return nil
  }
}

/// A module's difference in double precision, and what the definitions say about it.
struct DeltaTruth {
  let values: [Double]
  let shape: [Int]

  init(base: FixtureTensor, tuned: FixtureTensor) {
    values = zip(tuned.values, base.values).map { $0 - $1 }
    shape = base.shape
  }

  var energy: Double { values.reduce(0) { $0 + $1 * $1 } }

  /// ‖Δ − B·A‖_F² entry by entry; ‖Δ − (B·A)ᵀ‖_F² for embeddings and others whose rows are inputs.
  func residualEnergy(a: FixtureTensor, b: FixtureTensor, isTransposed: Bool = false) -> Double {
    let (rows, columns, rank) = (shape[0], shape[1], a.shape[0])
    let isTransposed = isTransposed || a.name.hasSuffix("lora_embedding_A")
    let (aValues, bValues) = (a.values, b.values)
    var sum = 0.0
    var row = [Double](repeating: 0, count: columns)
    for index in 0..<rows {
      for column in 0..<columns { row[column] = values[index * columns + column] }
      for term in 0..<rank {
        let left = isTransposed ? aValues[term * rows + index] : bValues[index * rank + term]
        for column in 0..<columns {
          row[column] -=
            left * (isTransposed ? bValues[column * rank + term] : aValues[term * columns + column])
        }
      }
      for value in row { sum += value * value }
    }
    return sum
  }

  /// The energy of the best approximation of a rank, from the whole spectrum.
  func optimum(rank: Int) throws -> Double { try optima(ranks: [rank])[0] }

  /// The same for several ranks at the price of one.
  func optima(ranks: [Int]) throws -> [Double] {
    let matrix = Matrix<Float>(values.map { Float($0) }, rows: shape[0], columns: shape[1])
    let spectrum = try ExactSpectrum(of: matrix)
    return ranks.map { spectrum.optimum(rank: $0) }
  }
}
