import Checkpoints
import Foundation
import TestSupport

/// A small PEFT adapter that is written without the program's own code.
struct LoRAFixture {
  /// The file's tensors.
  var tensors: [FixtureTensor] = []
  /// Fields of the configuration besides `peft_type`, as JSON members.
  var fields: [String: String] = ["r": "4", "lora_alpha": "4"]

  private static let prefix = "base_model.model."

  /// Adds the factors of a linear layer, whole numbers from −2 to 2.
  mutating func add(
    _ module: String, out: Int, in: Int, rank: Int, type: ElementType = .f32, seed: UInt64 = 1
  ) {
    var random = SplitMix64(state: seed)
    func whole(_ count: Int) -> [Double] { (0..<count).map { _ in (random.nextUniform() * 2.49).rounded() } }
    add("\(module).lora_A.weight", [rank, `in`], whole(rank * `in`), type)
    add("\(module).lora_B.weight", [out, rank], whole(out * rank), type)
  }

  /// Adds any tensor under PEFT's prefix.
  mutating func add(_ name: String, _ shape: [Int], _ values: [Double], _ type: ElementType = .f32) {
    tensors.append(FixtureTensor(Self.prefix + name, type, shape: shape, values))
  }

  /// B·A of a linear layer, row after row.
  func product(_ module: String) -> [Double] {
    guard let a = self["\(module).lora_A.weight"], let b = self["\(module).lora_B.weight"] else { return [] }
    let (rank, columns) = (a.shape[0], a.shape[1])
    let (left, right) = (b.values, a.values)
    return (0..<b.shape[0] * columns).map { index in
      let (row, column) = index.quotientAndRemainder(dividingBy: columns)
      return (0..<rank).reduce(0) { $0 + left[row * rank + $1] * right[$1 * columns + column] }
    }
  }

  /// The tensor of a name without PEFT's prefix.
  subscript(_ name: String) -> FixtureTensor? { tensors.first { $0.name == Self.prefix + name } }

  /// Makes the adapter's folder.
  func write(to folder: String) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let members = [#""peft_type":"LORA""#] + fields.sorted { $0.key < $1.key }.map { "\"\($0)\":\($1)" }
    try Data("{\(members.joined(separator: ","))}".utf8)
      .write(to: URL(filePath: folder + "/adapter_config.json"))
    try Data(RawSafetensors.file(tensors)).write(
      to: URL(filePath: folder + "/adapter_model.safetensors"))
  }
}

/// Every tensor of a model's folder, by name, whatever files it is in.
func modelTensors(_ folder: String) throws -> [String: FixtureTensor] {
  let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter {
    $0.hasSuffix(".safetensors")
  }
  return try names.reduce(into: [:]) { tensors, name in
    tensors.merge(try RawSafetensors.read(folder + "/" + name)) { first, _ in first }
  }
}
