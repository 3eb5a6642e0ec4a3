import Foundation
import TestSupport

/// What `unbraid adapter` made of a joint decomposition, read without the program's own code.
struct JointAdapterFolder {
  let tensors: [String: FixtureTensor]
  let report: Report

  /// The part of report.json that the tests check.
  struct Report: Decodable {
    let modules: [Module]
    let notes: [String]

    struct Module: Decodable {
      let module: String
      let rank: Int
      let norm: Double
      let writtenNorm: Double
      let departure: Double
      let leastResidual: Double
      let largestResidual: Double
    }
  }

  init(_ path: String) throws {
    tensors = try RawSafetensors.read(path + "/adapter_model.safetensors")
    report = try JSONDecoder().decode(
      Report.self, from: FileManager.default.contents(atPath: path + "/report.json") ?? Data())
  }

  /// The modules with factors.
  var adapted: Set<String> {
    Set(
      tensors.keys.filter { $0.hasSuffix(".lora_A.weight") }
        .map { String($0.dropFirst("base_model.model.".count).dropLast(".lora_A.weight".count)) })
  }

  /// B·A of a module, row after row; nothing for a module without factors.
  func update(_ module: String) -> [Double]? { product(module) { $0 } }

  /// The largest entry of |B|·|A|, which rounding errors are relative to; components may cancel.
  func magnitude(_ module: String) -> Double { product(module, abs)?.max() ?? 0 }

  private func product(_ module: String, _ entry: (Double) -> Double) -> [Double]? {
    let prefix = "base_model.model.\(module)."
    guard let a = tensors[prefix + "lora_A.weight"], let b = tensors[prefix + "lora_B.weight"] else {
      return nil
    }
    let (rank, columns) = (a.shape[0], a.shape[1])
    let (left, right) = (b.values.map(entry), a.values.map(entry))
    return (0..<b.shape[0] * columns).map { index in
      let (row, column) = (index / columns, index % columns)
      return (0..<rank).reduce(0) { $0 + left[row * rank + $1] * right[$1 * columns + column] }
    }
  }
}
