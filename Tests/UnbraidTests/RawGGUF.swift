import Foundation

/// A GGUF file taken apart by the format's definition, without the writer's own code.
struct RawGGUF {
  /// Metadata as text.
  private(set) var metadata: [String: String] = [:]
  private(set) var tensors: [String: Tensor] = [:]
  let version: UInt32
  /// Bytes of the file.
  let size: Int

  struct Tensor {
    /// The fastest first.
    let dimensions: [Int]
    let type: UInt32
    /// Where it is in the file.
    let offset: Int
    let values: [Double]
  }

  init(_ path: String) throws {
    var cursor = Cursor(bytes: [UInt8](try Data(contentsOf: URL(filePath: path))))
    size = cursor.bytes.count
    precondition(cursor.text(4) == "GGUF", "the magic is wrong")
    version = cursor.number()
    let (tensorCount, valueCount): (UInt64, UInt64) = (cursor.number(), cursor.number())
    for _ in 0..<valueCount {
      let key = cursor.string()
      let type: UInt32 = cursor.number()
      switch type {
      case 4: metadata[key] = "\(cursor.number() as UInt32)"
      case 6: metadata[key] = "\(Float(bitPattern: cursor.number()))"
      default: metadata[key] = cursor.string()
      }
    }
    let descriptions = (0..<tensorCount).map { _ in
      let name = cursor.string()
      let count: UInt32 = cursor.number()
      let dimensions = (0..<count).map { _ in Int(cursor.number() as UInt64) }
      return (name, dimensions, cursor.number() as UInt32, Int(cursor.number() as UInt64))
    }
    let start = (cursor.position + 31) / 32 * 32
    for (name, dimensions, type, offset) in descriptions {
      precondition(type == 0, "only f32 is read here")
      cursor.position = start + offset
      let values = (0..<dimensions.reduce(1, *)).map { _ in Double(Float(bitPattern: cursor.number())) }
      tensors[name] = Tensor(dimensions: dimensions, type: type, offset: start + offset, values: values)
    }
  }

  private struct Cursor {
    let bytes: [UInt8]
    var position = 0

    mutating func number<Number: FixedWidthInteger>() -> Number {
      defer { position += Number.bitWidth / 8 }
      return (0..<Number.bitWidth / 8).reduce(0) {
        $0 | Number(truncatingIfNeeded: bytes[position + $1]) << ($1 * 8)
      }
    }

    mutating func text(_ count: Int) -> String {
      defer { position += count }
      return String(decoding: bytes[position..<position + count], as: UTF8.self)
    }

    mutating func string() -> String {
      let count: UInt64 = number()
      return text(Int(count))
    }
  }
}
