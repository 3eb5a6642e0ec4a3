import Foundation
import TestSupport

/// What a decomposition wrote, read without the program's own code.
struct DecompositionOutput {
  let record: Record
  let tensors: [String: FixtureTensor]
  /// Every file but `report.json`, whose times differ from run to run.
  let files: [String: Data]

  /// The part of decomposition.json that the tests check.
  struct Record: Decodable {
    let format: String
    let source: String
    let modules: [Module]
    let vectors: [Vector]

    struct Module: Decodable {
      let module: String
      let shape: [Int]
      let rank: Int
      let norm: Double
      let residual: Double
      let tailEnergy: Double
      let binadeEnergy: Double
    }

    struct Vector: Decodable {
      let tensor: String
      let kind: String
      let isStored: Bool
    }
  }

  init(_ path: String) throws {
    var files: [String: Data] = [:]
    var tensors: [String: FixtureTensor] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: path) where name != "report.json" {
      files[name] = FileManager.default.contents(atPath: path + "/" + name)
      if name.hasSuffix(".safetensors") {
        tensors.merge(try RawSafetensors.read(path + "/" + name)) { first, _ in first }
      }
    }
    record = try JSONDecoder().decode(Record.self, from: files["decomposition.json"] ?? Data())
    self.files = files
    self.tensors = tensors
  }

  /// U·diag(S)·Vh of a module, row after row, out × in.
  func product(_ module: String) -> [Double] {
    guard let u = tensors[module + ".U"], let s = tensors[module + ".S"], let vh = tensors[module + ".Vh"]
    else { return [] }
    let (rows, rank, columns) = (u.shape[0], u.shape[1], vh.shape[1])
    let (left, values, right) = (u.values, s.values, vh.values)
    var product = [Double](repeating: 0, count: rows * columns)
    for row in 0..<rows {
      for term in 0..<rank {
        let weight = left[row * rank + term] * values[term]
        for column in 0..<columns {
          product[row * columns + column] += weight * right[term * columns + column]
        }
      }
    }
    return product
  }
}

extension Workspace {
  /// The folder that `decompose` fills.
  var decompositionPath: String { folder.file("decomposition") }

  /// `unbraid decompose base tuned -o decomposition`.
  func decompose(_ options: [String] = [], ranks: Int? = nil, to path: String? = nil) throws -> ProcessResult
  {
    try Self.run(
      ["decompose", basePath, tunedPath, "-o", path ?? decompositionPath] + options, ranks: ranks)
  }

  /// `unbraid adapter decomposition -o out`.
  func adapterOfDecomposition(_ options: [String] = [], to path: String? = nil) throws -> ProcessResult {
    try Self.run(["adapter", decompositionPath, "-o", path ?? outputPath] + options)
  }
}
