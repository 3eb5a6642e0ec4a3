/// A set of singular values by their numbers, 0 the largest: `0-3,7,12-`.
///
/// The last range may be open, for all from there on. Kept sorted, without overlaps or neighbours, so that equal
/// sets have equal texts.
public struct TripletNumbers: Sendable, Equatable {
  /// Closed ranges; `Int.max` is an open end.
  private var ranges: [ClosedRange<Int>]

  /// None.
  public static let none = TripletNumbers(ranges: [])
  /// All of them.
  public static let all = TripletNumbers(ranges: [0...Int.max])

  /// Some ranges, which may overlap.
  ///
  /// - Parameter ranges: In any order.
  public init(ranges: [ClosedRange<Int>]) {
    self.ranges = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = self.ranges.last, range.lowerBound - 1 <= last.upperBound {
        self.ranges[self.ranges.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        self.ranges.append(range)
      }
    }
  }

  /// What a text says: numbers and ranges with commas between, `all` or `none`; nil if it says nothing of the kind.
  ///
  /// - Parameter text: As in a plan.
  public init?(_ text: String) {
    switch text {
    case "all": self = .all
    case "none": self = .none
    default:
      var ranges: [ClosedRange<Int>] = []
      for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        guard let range = range(String(part).filter { $0 != " " }) else { return nil }
        ranges.append(range)
      }
      self.init(ranges: ranges)
    }
  }

  /// The text that says the same.
  public var text: String {
    if ranges.isEmpty { return "none" }
    if self == .all { return "all" }
    return ranges.map { range in
      if range.count == 1 { return "\(range.lowerBound)" }
      return "\(range.lowerBound)-" + (range.upperBound == .max ? "" : "\(range.upperBound)")
    }.joined(separator: ",")
  }

  /// The largest number that the text names; nil for none.
  public var largestNamed: Int? {
    ranges.last.map { $0.upperBound == .max ? $0.lowerBound : $0.upperBound }
  }

  /// Adds the numbers of another set.
  ///
  /// - Parameter other: Which.
  public mutating func formUnion(_ other: TripletNumbers) {
    self = TripletNumbers(ranges: ranges + other.ranges)
  }

  /// Whether some number is in both sets.
  ///
  /// - Parameter other: The other set.
  /// - Returns: True if there is one.
  public func intersects(_ other: TripletNumbers) -> Bool {
    ranges.contains { range in other.ranges.contains { $0.overlaps(range) } }
  }

  /// Whether a number is among them.
  ///
  /// - Parameter number: 0 or more.
  /// - Returns: True if it is.
  public func contains(_ number: Int) -> Bool { ranges.contains { $0.contains(number) } }
}

private func range(_ part: String) -> ClosedRange<Int>? {
  let ends = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
  guard let first = ends.first.flatMap(index) else { return nil }
  if ends.count == 1 { return first...first }
  if ends[1].isEmpty { return first...Int.max }
  guard let last = index(ends[1]), last >= first else { return nil }
  return first...last
}

private func index(_ text: String) -> Int? {
  guard text.allSatisfy({ $0.isASCII && $0.isNumber }), text.count < 10 else { return nil }
  return Int(text)
}

extension TripletNumbers: Codable {
  /// Reads the text.
  ///
  /// - Parameter decoder: At one value.
  /// - Throws: `DecodingError` if it is no such text.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let numbers = TripletNumbers(text) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' names no numbers")
    }
    self = numbers
  }

  /// Writes the text.
  ///
  /// - Parameter encoder: Gets one value.
  /// - Throws: What the encoder throws.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }
}
