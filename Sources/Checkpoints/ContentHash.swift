internal import CXXHash

/// The 64-bit XXH3 hash of some bytes: it tells accidents, not attacks.
public struct ContentHash: Sendable, Codable, Hashable, CustomStringConvertible {
  /// Sixteen hexadecimal digits.
  public let description: String

  /// Hashes bytes, at the speed of memory.
  public init(of bytes: [UInt8]) {
    self.init(value: bytes.withUnsafeBytes { XXH3_64bits($0.baseAddress, $0.count) })
  }

  /// A hash that was written down, if these are sixteen digits of one.
  public init?(_ description: String) {
    guard description.utf8.count == 16, let value = UInt64(description, radix: 16) else { return nil }
    self.init(value: value)
  }

  /// Reads the digits.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let hash = ContentHash(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "no hash of sixteen digits")
    }
    self = hash
  }

  /// Writes the digits.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }

  private init(value: UInt64) {
    let digits = String(value, radix: 16)
    description = String(repeating: "0", count: 16 - digits.count) + digits
  }
}
