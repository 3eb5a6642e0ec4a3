internal import Checkpoints

/// Streams tensors into one GGUF file, in any order of arrival, with the same bytes as a result.
///
/// Version 3 of the format (ggml's docs/gguf.md): a header with the counts, typed metadata, one description a tensor,
/// then the tensors, each at a multiple of 32 bytes. All numbers are little-endian. Dimensions are in ggml's order,
/// the one whose elements are neighbours first: a row-major matrix of m rows and n columns has dimensions [n, m].
struct GGUFWriter: ~Copyable {
  /// A value of the metadata.
  enum Value: Equatable, Sendable {
    case string(String)
    case uint32(UInt32)
    case float32(Float)
  }

  /// A tensor to come.
  struct Slot: Sendable {
    let name: String
    let type: FactorType
    /// The fastest first.
    let dimensions: [Int]

    var byteCount: Int { dimensions.reduce(1, *) * type.elementType.bitWidth / 8 }
  }

  /// Tensors begin at multiples of this; the value that readers assume if the metadata give none.
  private static let alignment = 32
  /// ggml keeps names in 64 bytes with a zero at the end.
  static let longestName = 63

  private let file: PartialFile
  private let slotIndex: [String: Int]
  private let slots: [Slot]
  private let offsets: [Int]
  private let size: Int
  private var isWritten: [Bool]

  /// Makes the temporary file with everything but the tensors.
  ///
  /// - Parameters:
  ///   - path: The file's name; it appears under it when it is whole.
  ///   - metadata: Keys and values, in the order of the file.
  ///   - slots: The tensors, in the order of the file.
  /// - Throws: `CheckpointError.system` if the file cannot be made.
  init(path: String, metadata: [(key: String, value: Value)], slots: [Slot]) throws {
    var header = Array("GGUF".utf8) + littleEndian(UInt32(3))
    header += littleEndian(UInt64(slots.count)) + littleEndian(UInt64(metadata.count))
    for (key, value) in metadata { header += string(key) + encoded(value) }
    var position = 0
    var relative: [Int] = []
    for slot in slots {
      precondition(slot.name.utf8.count <= Self.longestName, "ggml cannot hold a name this long")
      header += string(slot.name) + littleEndian(UInt32(slot.dimensions.count))
      for dimension in slot.dimensions { header += littleEndian(UInt64(dimension)) }
      header += littleEndian(slot.type.ggmlNumber) + littleEndian(UInt64(position))
      relative.append(position)
      position = Self.aligned(position + slot.byteCount)
    }
    let dataStart = Self.aligned(header.count)
    let file = try PartialFile(finalPath: path)
    try file.write(header, at: 0)
    self.file = file
    self.slots = slots
    slotIndex = Dictionary(uniqueKeysWithValues: slots.enumerated().map { ($1.name, $0) })
    offsets = relative.map { dataStart + $0 }
    // The last tensor is padded as well: readers take the data in one piece of whole alignments.
    size = dataStart + position
    isWritten = Array(repeating: false, count: slots.count)
  }

  /// Writes one tensor, as many bytes as its slot has.
  mutating func write(_ bytes: [UInt8], to name: String) throws {
    guard let index = slotIndex[name] else { preconditionFailure("tensor '\(name)' was not laid out") }
    precondition(bytes.count == slots[index].byteCount && !isWritten[index], "tensor '\(name)' does not fit")
    try file.write(bytes, at: offsets[index])
    isWritten[index] = true
  }

  /// Lets the file appear under its name, durably; every tensor must have been written.
  consuming func finish() throws {
    precondition(isWritten.allSatisfy { $0 }, "a tensor was never written")
    try file.publish(size: size)
  }

  private static func aligned(_ position: Int) -> Int { (position + alignment - 1) / alignment * alignment }
}

extension FactorType {
  /// The number of the type among ggml's.
  fileprivate var ggmlNumber: UInt32 {
    switch self {
    case .f32: 0
    case .f16: 1
    case .bf16: 30
    }
  }

  /// What `general.file_type` says of a file with mostly such tensors.
  var ggufFileType: UInt32 {
    switch self {
    case .f32: 0
    case .f16: 1
    case .bf16: 32
    }
  }
}

private func encoded(_ value: GGUFWriter.Value) -> [UInt8] {
  switch value {
  case .uint32(let number): littleEndian(UInt32(4)) + littleEndian(number)
  case .float32(let number): littleEndian(UInt32(6)) + littleEndian(number.bitPattern)
  case .string(let text): littleEndian(UInt32(8)) + string(text)
  }
}

private func string(_ text: String) -> [UInt8] {
  littleEndian(UInt64(text.utf8.count)) + Array(text.utf8)
}

private func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
  (0..<value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
}
