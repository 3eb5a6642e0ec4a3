/// A JSON value that keeps what Foundation's decoders drop: order, duplicate keys (as an error), digits.
package enum StrictJSON: Equatable {
  case object([(key: String, value: StrictJSON)])
  case array([StrictJSON])
  case string(String)
  /// The digits as written.
  case number(String)
  case bool(Bool)
  case null

  package static func == (left: StrictJSON, right: StrictJSON) -> Bool {
    switch (left, right) {
    case (.object(let a), .object(let b)): a.elementsEqual(b) { $0.key == $1.key && $0.value == $1.value }
    case (.array(let a), .array(let b)): a == b
    case (.string(let a), .string(let b)), (.number(let a), .number(let b)): a == b
    case (.bool(let a), .bool(let b)): a == b
    case (.null, .null): true
    default: false
    }
  }
}

/// What is wrong with a text, and at which byte.
package struct StrictJSONError: Error, Equatable {
  package let position: Int
  package let problem: String
}

extension StrictJSON {
  /// Parses a whole text (RFC 8259); white space may surround values, nothing may follow the last.
  ///
  /// - Parameters:
  ///   - bytes: The text in UTF-8.
  ///   - acceptsNonFinite: Whether `Infinity`, `-Infinity` and `NaN` are numbers, as Python writes them.
  /// - Throws: The place and the problem, if it is no JSON.
  package init(parsing bytes: [UInt8], acceptsNonFinite: Bool = false) throws(StrictJSONError) {
    var parser = Parser(bytes: bytes, acceptsNonFinite: acceptsNonFinite)
    self = try parser.parseDocument()
  }

  private struct Parser {
    let bytes: [UInt8]
    let acceptsNonFinite: Bool
    var position = 0
    private static let greatestDepth = 64

    init(bytes: [UInt8], acceptsNonFinite: Bool) {
      self.bytes = bytes
      self.acceptsNonFinite = acceptsNonFinite
    }

    mutating func parseDocument() throws(StrictJSONError) -> StrictJSON {
      let value = try parseValue(depth: 0)
      skipSpace()
      guard position == bytes.count else { throw failure("something follows the JSON value") }
      return value
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private func failure(_ problem: String) -> StrictJSONError {
      StrictJSONError(position: position, problem: problem)
    }

    private mutating func skipSpace() {
      while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { position += 1 }
    }

    private mutating func parseValue(depth: Int) throws(StrictJSONError) -> StrictJSON {
      guard depth <= Self.greatestDepth else {
        throw failure("nested deeper than \(Self.greatestDepth) levels")
      }
      skipSpace()
      switch next {
      case UInt8(ascii: "{"): return .object(try parseObject(depth: depth))
      case UInt8(ascii: "["): return .array(try parseArray(depth: depth))
      case UInt8(ascii: "\""): return .string(try parseString())
      case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
      case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
      case UInt8(ascii: "n"): return try parseWord("null", .null)
      case nil: throw failure("the JSON text ends early")
      default:
        if let word = parseNonFinite() { return .number(word) }
        return .number(try parseNumber())
      }
    }

    private mutating func parseWord(_ word: String, _ value: StrictJSON) throws(StrictJSONError) -> StrictJSON
    {
      guard bytes[position...].starts(with: word.utf8) else { throw failure("no JSON value") }
      position += word.utf8.count
      return value
    }

    private mutating func parseObject(depth: Int) throws(StrictJSONError) -> [(
      key: String, value: StrictJSON
    )] {
      var members: [(key: String, value: StrictJSON)] = []
      var keys: Set<String> = []
      position += 1
      skipSpace()
      if consume(UInt8(ascii: "}")) { return members }
      while true {
        skipSpace()
        let keyPosition = position
        guard next == UInt8(ascii: "\"") else { throw failure("a key in double quotes is missing") }
        let key = try parseString()
        guard keys.insert(key).inserted else {
          throw StrictJSONError(position: keyPosition, problem: "the key '\(key)' appears twice")
        }
        skipSpace()
        guard consume(UInt8(ascii: ":")) else { throw failure("':' is missing after the key '\(key)'") }
        members.append((key, try parseValue(depth: depth + 1)))
        skipSpace()
        if consume(UInt8(ascii: "}")) { return members }
        guard consume(UInt8(ascii: ",")) else { throw failure("',' or '}' is missing") }
      }
    }

    private mutating func parseArray(depth: Int) throws(StrictJSONError) -> [StrictJSON] {
      var elements: [StrictJSON] = []
      position += 1
      skipSpace()
      if consume(UInt8(ascii: "]")) { return elements }
      while true {
        elements.append(try parseValue(depth: depth + 1))
        skipSpace()
        if consume(UInt8(ascii: "]")) { return elements }
        guard consume(UInt8(ascii: ",")) else { throw failure("',' or ']' is missing") }
      }
    }

    private mutating func consume(_ byte: UInt8) -> Bool {
      guard next == byte else { return false }
      position += 1
      return true
    }

    private mutating func parseNonFinite() -> String? {
      guard acceptsNonFinite else { return nil }
      for word in ["Infinity", "-Infinity", "NaN"] where bytes[position...].starts(with: word.utf8) {
        position += word.utf8.count
        return word
      }
      return nil
    }

    private mutating func parseNumber() throws(StrictJSONError) -> String {
      let start = position
      _ = consume(UInt8(ascii: "-"))
      let leading = next
      guard consumeDigits() else { throw failure("no JSON value") }
      if leading == UInt8(ascii: "0") && position - start > (bytes[start] == UInt8(ascii: "-") ? 2 : 1) {
        throw failure("a number starts with 0")
      }
      if consume(UInt8(ascii: ".")) && !consumeDigits() { throw failure("digits are missing after '.'") }
      if consume(UInt8(ascii: "e")) || consume(UInt8(ascii: "E")) {
        if !consume(UInt8(ascii: "+")) { _ = consume(UInt8(ascii: "-")) }
        guard consumeDigits() else { throw failure("digits are missing in an exponent") }
      }
      return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func consumeDigits() -> Bool {
      let start = position
      while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
      return position > start
    }

    private mutating func parseString() throws(StrictJSONError) -> String {
      let start = position
      position += 1
      var text: [UInt8] = []
      while let byte = next {
        position += 1
        switch byte {
        case UInt8(ascii: "\""):
          guard let string = String(validating: text, as: UTF8.self) else {
            throw StrictJSONError(position: start, problem: "a string is not UTF-8")
          }
          return string
        case UInt8(ascii: "\\"): try parseEscape(into: &text)
        case 0..<0x20: throw failure("a control character in a string")
        default: text.append(byte)
        }
      }
      throw failure("a string has no end")
    }

    private mutating func parseEscape(into text: inout [UInt8]) throws(StrictJSONError) {
      let plain: [UInt8: UInt8] = [
        0x22: 0x22, 0x5C: 0x5C, 0x2F: 0x2F, 0x62: 0x08, 0x66: 0x0C, 0x6E: 0x0A, 0x72: 0x0D, 0x74: 0x09,
      ]
      guard let byte = next else { throw failure("a string has no end") }
      position += 1
      if let character = plain[byte] {
        text.append(character)
        return
      }
      guard byte == UInt8(ascii: "u") else { throw failure("no such escape in a string") }
      var code = try parseHexadecimal()
      if (0xD800..<0xDC00).contains(code) {
        guard consume(UInt8(ascii: "\\")), consume(UInt8(ascii: "u")) else {
          throw failure("half a surrogate pair")
        }
        let low = try parseHexadecimal()
        guard (0xDC00..<0xE000).contains(low) else { throw failure("half a surrogate pair") }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw failure("half a surrogate pair") }
      text += Array(String(scalar).utf8)
    }

    private mutating func parseHexadecimal() throws(StrictJSONError) -> UInt32 {
      guard position + 4 <= bytes.count,
        bytes[position..<position + 4].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
        let code = UInt32(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
      else { throw failure("four hexadecimal digits are missing") }
      position += 4
      return code
    }
  }
}
