/// A length or a unit's number as it travels: eight bytes, least significant first.
enum UnitNumber {
  static let byteCount = 8

  static func encode(_ number: Int) -> [UInt8] {
    (0..<byteCount).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
  }

  static func decode(_ bytes: some Sequence<UInt8>) -> Int {
    bytes.prefix(byteCount).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
  }
}
