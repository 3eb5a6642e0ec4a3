internal import Checkpoints

/// The fields of a configuration file, in its order, each read as what it must be.
struct ConfigurationFields {
  let path: String
  private let fields: [String: StrictJSON]

  /// - Throws: `PEFTAdapterError.malformedConfiguration` if the bytes are no JSON object.
  init(_ bytes: [UInt8], path: String) throws {
    self.path = path
    do {
      guard case .object(let members) = try StrictJSON(parsing: bytes) else {
        throw PEFTAdapterError.malformedConfiguration(path: path, problem: "is no JSON object; get it again")
      }
      fields = Dictionary(uniqueKeysWithValues: members.map { ($0.key, $0.value) })
    } catch let error as StrictJSONError {
      throw PEFTAdapterError.malformedConfiguration(
        path: path, problem: "byte \(error.position): \(error.problem); get it again")
    }
  }

  /// Whether a field says more than null, false or nothing.
  func isSet(_ name: String) -> Bool {
    switch fields[name] {
    case nil, .null, .bool(false), .array([]): false
    case .object(let members): !members.isEmpty
    default: true
    }
  }

  func text(_ name: String) throws -> String? {
    switch fields[name] {
    case nil, .null: nil
    case .string(let text): text
    default: throw problem(name, "is no text")
    }
  }

  func flag(_ name: String) throws -> Bool {
    switch fields[name] {
    case nil, .null: false
    case .bool(let value): value
    default: throw problem(name, "is neither true nor false")
    }
  }

  func number(_ name: String) throws -> Double? { try fields[name].map { try number($0, name) } }

  func number(_ value: StrictJSON, _ name: String) throws -> Double {
    guard case .number(let digits) = value, let number = Double(digits), number.isFinite else {
      throw problem(name, "is no number")
    }
    return number
  }

  func rank(_ name: String) throws -> Int? { try fields[name].map { try rank($0, name) } }

  func rank(_ value: StrictJSON, _ name: String) throws -> Int {
    guard let rank = Int(exactly: try number(value, name)), rank > 0 else {
      throw problem(name, "is no rank; ranks are whole numbers from 1")
    }
    return rank
  }

  /// A list of names; nil for anything else, such as the text of a regular expression.
  func names(_ name: String) throws -> [String]? {
    guard case .array(let values) = fields[name] else { return nil }
    return try values.map { value in
      guard case .string(let text) = value else { throw problem(name, "lists something that is no name") }
      return text
    }
  }

  func members(_ name: String) throws -> [(key: String, value: StrictJSON)] {
    switch fields[name] {
    case nil, .null: []
    case .object(let members): members
    default: throw problem(name, "is no object")
    }
  }

  private func problem(_ name: String, _ text: String) -> PEFTAdapterError {
    .malformedConfiguration(path: path, problem: "'\(name)' \(text); correct it")
  }
}
