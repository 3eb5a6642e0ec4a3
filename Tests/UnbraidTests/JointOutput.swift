import Foundation
import TestSupport

/// What a joint decomposition wrote, read without the program's own code.
struct JointOutput {
  let groups: [Group]
  /// Every file but `report.json`, whose times differ from run to run.
  let files: [String: Data]
  private let method: String
  private let tensors: [String: FixtureTensor]

  /// The part of a group's record that the tests check.
  struct Group: Decodable {
    let name: String
    let modules: [String]
    let shape: [Int]
    let tunedCount: Int
    let parameterCount: Int
    let energies: [Double]
    let residuals: [Double]
    let tunedEnergies: [Double]
    let separate: Separate?
    let components: Components?

    struct Separate: Decodable {
      let tripletCount: Int
      let ranks: [Int]
    }

    struct Components: Decodable {
      let tunedUse: [[Double]]
    }
  }

  private struct Record: Decodable {
    let method: String
    let groups: [Group]
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
    let record = try JSONDecoder().decode(Record.self, from: files["decomposition.json"] ?? Data())
    groups = record.groups
    method = record.method
    self.files = files
    self.tensors = tensors
  }

  /// The difference of one module as the tensors give it, row after row.
  func rebuilt(_ group: Group, tuned: Int, layer: Int) throws -> [Double] {
    let (m, n) = (group.shape[0], group.shape[1])
    func tensor(_ name: String) -> FixtureTensor? { tensors["\(group.name).\(name)"] }
    let slice = tuned * group.modules.count + layer
    if let weights = tensor("weights"), let out = tensor("out"), let `in` = tensor("in"),
      let layers = tensor("layer")
    {
      let count = weights.shape[0]
      let use = tensor("tuned")
      let scale = (0..<count).map {
        weights.values[$0] * layers.values[layer * count + $0] * (use?.values[tuned * count + $0] ?? 1)
      }
      let left = out.values.enumerated().map { $1 * scale[$0 % count] }
      return timesTransposed(left, `in`.values, m, count, n)
    }
    if let coefficients = tensor("coefficients") {
      let size = coefficients.shape.suffix(2).reduce(1, *)
      let own = Array(coefficients.values[slice * size..<(slice + 1) * size])
      if let basis = tensor("out_basis") { return times(basis.values, own, m, basis.shape[1], n) }
      let basis = tensor("in_basis")
      return timesTransposed(own, basis?.values ?? [], m, basis?.shape[1] ?? 0, n)
    }
    guard let left = tensor("out_basis"), let right = tensor("in_basis"), let core = tensor("core") else {
      return []
    }
    let (r1, r2) = (left.shape[1], right.shape[1])
    var own = [Double](repeating: 0, count: r1 * r2)
    if let layers = tensor("layer_basis") {
      let count = layers.shape[1]
      for vector in 0..<count {
        let start = (tuned * count + vector) * r1 * r2
        for entry in own.indices {
          own[entry] += layers.values[layer * count + vector] * core.values[start + entry]
        }
      }
    } else {
      own = Array(core.values[slice * r1 * r2..<(slice + 1) * r1 * r2])
    }
    return timesTransposed(times(left.values, own, m, r1, r2), right.values, m, r2, n)
  }
}

private func times(_ a: [Double], _ b: [Double], _ m: Int, _ k: Int, _ n: Int) -> [Double] {
  var result = [Double](repeating: 0, count: m * n)
  for row in 0..<m {
    for inner in 0..<k {
      let factor = a[row * k + inner]
      for column in 0..<n { result[row * n + column] += factor * b[inner * n + column] }
    }
  }
  return result
}

private func timesTransposed(_ a: [Double], _ b: [Double], _ m: Int, _ k: Int, _ n: Int) -> [Double] {
  var transposed = [Double](repeating: 0, count: k * n)
  for row in 0..<n { for column in 0..<k { transposed[column * n + row] = b[row * k + column] } }
  return times(a, transposed, m, k, n)
}
