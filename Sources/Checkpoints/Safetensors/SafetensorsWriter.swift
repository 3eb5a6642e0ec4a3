internal import Foundation

/// Streams tensors into one safetensors file, in any order of arrival, with the same bytes as a result.
///
/// Every tensor has a slot of its largest possible size, so each is written to its place as it comes and memory
/// does not grow with the file. Tensors that turn out smaller or missing leave gaps, which `finish()` closes.
/// The file is made under a temporary name beside its own and appears whole or not at all.
public struct SafetensorsWriter: ~Copyable {
  /// What a tensor may become.
  public struct Slot: Sendable {
    /// The tensor's name.
    public let name: String
    /// The type of its elements.
    public let elementType: ElementType
    /// Its greatest size in each dimension.
    public let largestShape: [Int]

    /// A slot for a tensor of at most this shape.
    public init(name: String, elementType: ElementType, largestShape: [Int]) {
      self.name = name
      self.elementType = elementType
      self.largestShape = largestShape
    }

    var largestByteCount: Int { byteCount(largestShape) }

    fileprivate func byteCount(_ shape: [Int]) -> Int { shape.reduce(1, *) * elementType.bitWidth / 8 }
  }

  private let file: PartialFile
  private let metadata: [String: String]
  private let slots: [Slot]
  private let slotIndex: [String: Int]
  /// Where each slot begins, after the header.
  private let offsets: [Int]
  private let headerLength: Int
  /// What became of each slot; nil as long as nothing did, an empty optional for an omitted tensor.
  private var shapes: [[Int]??]

  /// Makes the temporary file and lays out the slots: widest elements first, then by name.
  ///
  /// - Throws: `CheckpointError.system` if the file cannot be made.
  public init(path: String, slots: [Slot], metadata: [String: String]) throws {
    let sorted = slots.sorted { ($1.elementType.bitWidth, $0.name) < ($0.elementType.bitWidth, $1.name) }
    self.slots = sorted
    self.metadata = metadata
    slotIndex = Dictionary(uniqueKeysWithValues: sorted.enumerated().map { ($1.name, $0) })
    headerLength = headerText(metadata, sorted.map { ($0, $0.largestShape) }).count
    var position = 8 + headerLength
    var offsets: [Int] = []
    for slot in sorted {
      offsets.append(position)
      position += slot.byteCount(slot.largestShape)
    }
    self.offsets = offsets
    shapes = Array(repeating: nil, count: sorted.count)
    file = try PartialFile(finalPath: path)
  }

  /// Writes a tensor to its slot.
  ///
  /// - Parameters:
  ///   - bytes: The elements in row-major order.
  ///   - name: One of the slots' names.
  ///   - shape: As many dimensions as the slot has, none larger.
  /// - Throws: `CheckpointError.slotMismatch` if the tensor does not fit its slot, `.system` if the device fails.
  public mutating func write(_ bytes: [UInt8], to name: String, shape: [Int]) throws {
    let index = try slot(name)
    let slot = slots[index]
    guard shape.count == slot.largestShape.count, zip(shape, slot.largestShape).allSatisfy({ $0 <= $1 })
    else {
      throw mismatch(name, "has shape \(shape), more than the \(slot.largestShape) laid out for it")
    }
    guard bytes.count == slot.byteCount(shape) else {
      throw mismatch(
        name,
        "is written with \(bytes.count) bytes, but shape \(shape) of \(slot.elementType.rawValue) needs "
          + "\(slot.byteCount(shape))")
    }
    guard case .none = shapes[index] else { throw mismatch(name, "is written twice") }
    try file.write(bytes, at: offsets[index])
    shapes[index] = .some(shape)
  }

  /// Leaves a tensor out of the file.
  public mutating func omit(_ name: String) throws {
    let index = try slot(name)
    guard case .none = shapes[index] else { throw mismatch(name, "is omitted after it was written") }
    shapes[index] = .some(nil)
  }

  /// Closes the gaps, writes the header, and gives the file its name, durably.
  ///
  /// - Throws: `CheckpointError.slotMismatch` if a tensor was neither written nor omitted, `.system` if the
  ///   device fails.
  public consuming func finish() throws {
    var written: [(Slot, [Int])] = []
    var position = 8 + headerLength
    for (index, slot) in slots.enumerated() {
      guard let outcome = shapes[index] else { throw mismatch(slot.name, "was never written") }
      guard let shape = outcome else { continue }
      // Towards the front, in order: what is moved never overwrites what is still to be moved.
      try file.move(from: offsets[index], to: position, count: slot.byteCount(shape))
      position += slot.byteCount(shape)
      written.append((slot, shape))
    }
    let text = headerText(metadata, written)
    // The header keeps the length that the slots' positions were computed for; spaces may end it.
    let padding = Array(repeating: UInt8(ascii: " "), count: headerLength - text.count)
    try file.write(littleEndian(UInt64(headerLength)) + text + padding, at: 0)
    try file.publish(size: position)
  }

  private func slot(_ name: String) throws -> Int {
    guard let index = slotIndex[name] else { throw mismatch(name, "is not among those laid out") }
    return index
  }

  private func mismatch(_ name: String, _ problem: String) -> CheckpointError {
    .slotMismatch(path: file.finalPath, tensor: name, problem: problem)
  }
}

/// A header's JSON text, padded to a multiple of eight bytes; tensors follow each other without gaps.
private func headerText(_ metadata: [String: String], _ tensors: [(SafetensorsWriter.Slot, [Int])]) -> [UInt8]
{
  var members: [String] = []
  if !metadata.isEmpty {
    let pairs = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
    members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
  }
  var position = 0
  for (slot, shape) in tensors {
    let end = position + slot.byteCount(shape)
    let dimensions = shape.map(String.init).joined(separator: ",")
    members.append(
      "\(quoted(slot.name)):{\"dtype\":\"\(slot.elementType.rawValue)\",\"shape\":[\(dimensions)],"
        + "\"data_offsets\":[\(position),\(end)]}")
    position = end
  }
  var text = Array("{\(members.joined(separator: ","))}".utf8)
  text += Array(repeating: UInt8(ascii: " "), count: (8 - text.count % 8) % 8)
  return text
}

private func quoted(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"", "\\": result += "\\\(scalar)"
    case _ where scalar.value < 0x20: result += String(format: "\\u%04x", scalar.value)
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}

private func littleEndian(_ value: UInt64) -> [UInt8] {
  (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}
