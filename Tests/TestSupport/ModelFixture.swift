public import Checkpoints
import Foundation

/// One tensor of a small checkpoint, with its stored bytes.
public struct FixtureTensor: Sendable {
  /// Its name.
  public var name: String
  /// The type of its elements.
  public var elementType: ElementType
  /// Its dimensions.
  public var shape: [Int]
  /// What is stored.
  public var bytes: [UInt8]

  /// A tensor of values, each rounded to the nearest one of the type; integers for an integer type.
  public init(_ name: String, _ elementType: ElementType = .f32, shape: [Int], _ values: [Double]) {
    precondition(values.count == shape.reduce(1, *), "the values do not fill the tensor")
    self.name = name
    self.elementType = elementType
    self.shape = shape
    bytes = values.flatMap { stored($0, as: elementType) }
  }

  /// A tensor of bytes as they are, also of the wrong number.
  public init(_ name: String, _ elementType: ElementType, shape: [Int], bytes: [UInt8]) {
    self.name = name
    self.elementType = elementType
    self.shape = shape
    self.bytes = bytes
  }

  /// What the stored bytes stand for.
  public var values: [Double] { fixtureValues(bytes, elementType) }
}

/// A small checkpoint that is written byte by byte without the reader's or the writer's own code.
public struct ModelFixture: Sendable {
  /// The tensors, in the order of their bytes.
  public var tensors: [FixtureTensor]
  /// `config.json`, if there is to be one.
  public var configuration: String?

  /// A checkpoint of these tensors.
  public init(_ tensors: [FixtureTensor], configuration: String? = nil) {
    self.tensors = tensors
    self.configuration = configuration
  }

  /// The tensor of a name, which must be there.
  public subscript(_ name: String) -> FixtureTensor {
    get { tensors[position(of: name)] }
    set { tensors[position(of: name)] = newValue }
  }

  private func position(of name: String) -> Int {
    guard let index = tensors.firstIndex(where: { $0.name == name }) else {
      preconditionFailure("no tensor '\(name)' in the fixture")
    }
    return index
  }

  /// Makes a folder with one file, or with shards and their index.
  ///
  /// - Parameters:
  ///   - folder: The folder's path; made if it is not there.
  ///   - shardCount: Tensors go to the shards in turns; 1 makes a `model.safetensors`.
  /// - Throws: Foundation's error if a file cannot be written.
  public func write(to folder: String, shardCount: Int = 1) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    if let configuration { try writeFile(Array(configuration.utf8), folder + "/config.json") }
    guard shardCount > 1 else {
      return try writeFile(RawSafetensors.file(tensors), folder + "/model.safetensors")
    }
    var fileNames: [String: String] = [:]
    for shard in 0..<shardCount {
      let name = "model-0000\(shard + 1)-of-0000\(shardCount).safetensors"
      let part = tensors.indices.filter { $0 % shardCount == shard }.map { tensors[$0] }
      for tensor in part { fileNames[tensor.name] = name }
      try writeFile(RawSafetensors.file(part), folder + "/" + name)
    }
    try writeFile(RawSafetensors.index(fileNames), folder + "/model.safetensors.index.json")
  }
}

/// The safetensors format, also where it is broken.
public enum RawSafetensors {
  /// A sound file of these tensors.
  public static func file(_ tensors: [FixtureTensor]) -> [UInt8] {
    var members: [String] = []
    var position = 0
    for tensor in tensors {
      members.append(
        entry(tensor.name, tensor.elementType.rawValue, tensor.shape, position, tensor.bytes.count))
      position += tensor.bytes.count
    }
    return file(header: "{" + members.joined(separator: ",") + "}", data: tensors.flatMap(\.bytes))
  }

  /// A file of any header text and data.
  public static func file(header: String, data: [UInt8] = []) -> [UInt8] {
    file(headerLength: UInt64(header.utf8.count), header: header, data: data)
  }

  /// A file that declares any length of its header.
  public static func file(headerLength: UInt64, header: String, data: [UInt8] = []) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: headerLength >> (8 * $0)) } + Array(header.utf8) + data
  }

  /// One member of a header.
  public static func entry(_ name: String, _ type: String, _ shape: [Int], _ begin: Int, _ count: Int)
    -> String
  {
    "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":[\(shape.map(String.init).joined(separator: ","))],"
      + "\"data_offsets\":[\(begin),\(begin + count)]}"
  }

  /// An index of file names by tensor name.
  public static func index(_ fileNames: [String: String]) -> [UInt8] {
    let members = fileNames.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\"\($0.value)\"" }
    return Array("{\"metadata\":{},\"weight_map\":{\(members.joined(separator: ","))}}".utf8)
  }

  /// Reads a sound file; nothing is checked.
  ///
  /// - Throws: An error if the file cannot be read or its header is no JSON.
  public static func read(_ path: String) throws -> [String: FixtureTensor] {
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
    let length = bytes[0..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
    let header = try JSONSerialization.jsonObject(with: Data(bytes[8..<8 + length])) as? [String: Any] ?? [:]
    var tensors: [String: FixtureTensor] = [:]
    for (name, member) in header {
      guard let fields = member as? [String: Any], let offsets = fields["data_offsets"] as? [Int],
        let type = (fields["dtype"] as? String).flatMap(ElementType.init),
        let shape = fields["shape"] as? [Int]
      else { continue }
      let range = 8 + length + offsets[0]..<8 + length + offsets[1]
      tensors[name] = FixtureTensor(name, type, shape: shape, bytes: Array(bytes[range]))
    }
    return tensors
  }
}

/// A checkpoint and its fine-tune.
public struct ModelPair: Sendable {
  /// The base model.
  public var base: ModelFixture
  /// The fine-tuned model.
  public var tuned: ModelFixture

  /// A pair of given models.
  public init(base: ModelFixture, tuned: ModelFixture) {
    self.base = base
    self.tuned = tuned
  }

  /// A model in Llama's names with two linear layers a block, a bias, a norm, an embedding and a head.
  ///
  /// Everything changes by seeded noise; matrices of odd layers differ in size from those of even ones.
  public static func small(layers: Int = 2, _ elementType: ElementType = .f32, seed: UInt64 = 1) -> ModelPair
  {
    var base: [FixtureTensor] = []
    var tuned: [FixtureTensor] = []
    var random = SplitMix64(state: seed)
    func add(_ name: String, _ shape: [Int]) {
      let old = (0..<shape.reduce(1, *)).map { _ in random.nextUniform() }
      base.append(FixtureTensor(name, elementType, shape: shape, old))
      let new = old.map { $0 + 0.25 * random.nextUniform() }
      tuned.append(FixtureTensor(name, elementType, shape: shape, new))
    }
    add("model.embed_tokens.weight", [40, 16])
    for layer in 0..<layers {
      let wide = layer % 2 == 0 ? 24 : 48 - layer % 5
      add("model.layers.\(layer).self_attn.q_proj.weight", [wide, 16])
      add("model.layers.\(layer).self_attn.q_proj.bias", [wide])
      add("model.layers.\(layer).mlp.up_proj.weight", [48, 32 - layer % 3])
      add("model.layers.\(layer).input_layernorm.weight", [16])
    }
    add("lm_head.weight", [40, 16])
    let configuration = """
      {"architectures":["LlamaForCausalLM"],"model_type":"llama","tie_word_embeddings":false}
      """
    return ModelPair(
      base: ModelFixture(base, configuration: configuration),
      tuned: ModelFixture(tuned, configuration: configuration))
  }

  /// Makes one matrix of the fine-tuned model differ from the base by a matrix of exactly this rank.
  ///
  /// All numbers become multiples of 2⁻¹² small enough for single precision to add them exactly.
  public mutating func setChange(of name: String, rank: Int) {
    var random = SplitMix64(state: UInt64(rank) + 77)
    let shape = base[name].shape
    let old = base[name].values.map { ($0 * 4096).rounded() / 4096 }
    var new = old
    for _ in 0..<rank {
      let left = (0..<shape[0]).map { _ in (random.nextUniform() * 64).rounded() / 64 }
      let right = (0..<shape[1]).map { _ in (random.nextUniform() * 64).rounded() / 64 }
      for index in new.indices { new[index] += left[index / shape[1]] * right[index % shape[1]] }
    }
    base[name] = FixtureTensor(name, .f32, shape: shape, old)
    tuned[name] = FixtureTensor(name, .f32, shape: shape, new)
  }
}

/// A small generator of good numbers, the same on every machine (Steele, Lea and Flood 2014).
public struct SplitMix64: Sendable {
  private var state: UInt64

  /// A stream of one seed.
  public init(state: UInt64) { self.state = state }

  /// The next number of the stream, uniform in [−1, 1).
  public mutating func nextUniform() -> Double {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    word ^= word >> 31
    return Double(word >> 11) * 0x1p-52 - 1
  }
}

private func writeFile(_ bytes: [UInt8], _ path: String) throws {
  try Data(bytes).write(to: URL(filePath: path))
}

/// The bytes of one value, rounded to the nearest one of the type (ties to even).
func stored(_ value: Double, as type: ElementType) -> [UInt8] {
  switch type {
  case .f64: littleEndian(value.bitPattern)
  case .f32: littleEndian(Float(value).bitPattern)
  case .f16: littleEndian(Float16(value).bitPattern)
  case .bf16: littleEndian(bfloat16(Float(value)))
  case .f8E4M3, .f8E5M2: [nearestByte(value, type)]
  case .i64, .u64: littleEndian(Int64(value))
  case .i32, .u32: littleEndian(Int32(value))
  case .i16, .u16: littleEndian(Int16(value))
  default: [UInt8(truncatingIfNeeded: Int(value))]
  }
}

/// What stored bytes stand for.
public func fixtureValues(_ bytes: [UInt8], _ type: ElementType) -> [Double] {
  let width = type.bitWidth / 8
  return stride(from: 0, to: bytes.count, by: width).map { start in
    let word = (0..<width).reduce(UInt64(0)) { $0 | UInt64(bytes[start + $1]) << (8 * $1) }
    return switch type {
    case .f64: Double(bitPattern: word)
    case .f32: Double(Float(bitPattern: UInt32(word)))
    case .f16: Double(Float16(bitPattern: UInt16(word)))
    case .bf16: Double(Float(bitPattern: UInt32(word) << 16))
    case .f8E4M3: eightBits(UInt8(word), exponentBits: 4)
    case .f8E5M2: eightBits(UInt8(word), exponentBits: 5)
    default: Double(word)
    }
  }
}

private func littleEndian(_ word: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: word.littleEndian) { Array($0) }
}

private func bfloat16(_ value: Float) -> UInt16 {
  guard value.isFinite else { return UInt16(value.bitPattern >> 16) }
  let bits = value.bitPattern
  return UInt16(truncatingIfNeeded: (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
}

/// The definition of E4M3 (no infinity, one NaN) and E5M2 (as IEEE).
private func eightBits(_ byte: UInt8, exponentBits: Int) -> Double {
  let mantissaBits = 7 - exponentBits
  let bias = (1 << (exponentBits - 1)) - 1
  let exponent = Int(byte >> mantissaBits) & ((1 << exponentBits) - 1)
  let mantissa = Double(byte & ((1 << mantissaBits) - 1)) / Double(1 << mantissaBits)
  let sign = byte & 0x80 == 0 ? 1.0 : -1.0
  if exponentBits == 4 && byte & 0x7F == 0x7F { return .nan }
  if exponentBits == 5 && exponent == 31 { return mantissa == 0 ? sign * .infinity : .nan }
  let power = Double(sign: .plus, exponent: max(exponent, 1) - bias, significand: 1)
  return sign * power * (exponent == 0 ? mantissa : 1 + mantissa)
}

private func nearestByte(_ value: Double, _ type: ElementType) -> UInt8 {
  let exponentBits = type == .f8E4M3 ? 4 : 5
  if !value.isFinite { return type == .f8E4M3 || value.isNaN ? 0x7F : 0x7C }
  func distance(_ byte: UInt8) -> Double {
    let candidate = eightBits(byte, exponentBits: exponentBits)
    return candidate.isFinite ? abs(candidate - value) : .infinity
  }
  return (UInt8(0)...255).min { distance($0) < distance($1) } ?? 0
}
