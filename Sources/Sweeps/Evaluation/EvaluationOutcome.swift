internal import Foundation

/// What came of one evaluation.
public struct EvaluationOutcome: Sendable, Codable, Equatable {
  /// How it ended.
  public var status: Status
  /// Why it failed, with the log that tells more; nil for a good one.
  public var message: String?
  /// Wall-clock seconds.
  public var seconds: Double
  /// The numbers and texts of the last line, by name.
  public var values: [String: Value]

  /// How an evaluation ended.
  public enum Status: String, Sendable, Codable {
    /// With a line of JSON.
    case ok
    /// Otherwise.
    case failed
    /// By a signal to the job: it is to be done again.
    case stopped
  }

  /// A member of the last line.
  public enum Value: Sendable, Equatable {
    /// A number.
    case number(Double)
    /// A text.
    case text(String)
  }

  /// A number by its name.
  ///
  /// - Parameter name: As in the JSON.
  /// - Returns: Nil if there is none.
  public func number(_ name: String) -> Double? {
    if case .number(let number) = values[name] { number } else { nil }
  }

  /// The numbers and texts of the last line of an output that is not blank; nil if that is no JSON object.
  static func values(inLastLineOf output: String) -> [String: Value]? {
    let line = output.split(whereSeparator: \.isNewline).last { !$0.allSatisfy(\.isWhitespace) }
    let members = line.flatMap { try? JSONDecoder().decode([String: Member].self, from: Data($0.utf8)) }
    return members?.compactMapValues(\.value)
  }

  /// Any member; what is neither a number nor a text is passed over.
  private struct Member: Decodable {
    let value: Value?

    init(from decoder: any Decoder) throws { value = try? Value(from: decoder) }
  }
}

extension EvaluationOutcome.Value: Codable {
  /// Reads a number or a text.
  ///
  /// - Parameter decoder: At one value.
  /// - Throws: `DecodingError` for anything else.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let number = try? container.decode(Double.self) {
      self = .number(number)
    } else {
      self = .text(try container.decode(String.self))
    }
  }

  /// Writes it as it was.
  ///
  /// - Parameter encoder: Gets one value.
  /// - Throws: What the encoder throws.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .number(let number): try container.encode(number)
    case .text(let text): try container.encode(text)
    }
  }
}
