/// The longer side of a matrix, cut into units that are never cut further.
///
/// The units depend on the shape alone. Sums over the longer side are taken inside a unit first and then over
/// the units as a balanced binary tree, so that one thread or many, one rank or a group of them, add the same
/// numbers in the same order and get the same bits.
public struct LongSideUnits: Sendable, Codable, Equatable {
  /// True if the matrix is wide, so that its columns are the longer side.
  public let isWide: Bool
  /// Length of the shorter side, s.
  public let shortLength: Int
  /// Length of the longer side, l.
  public let longLength: Int
  /// The number of units, a power of two: the largest group that can share the matrix.
  public let count: Int
  private let unitLength: Int

  /// More than this many ranks never share one matrix.
  public static let largestCount = 16
  /// Shorter units would spend their time adding partial sums.
  private static let shortestUnit = 1024
  /// Units begin where the vectors of a processor do.
  private static let alignment = 16

  /// The units of a matrix of this shape.
  public init(rows: Int, columns: Int) {
    isWide = columns > rows
    shortLength = min(rows, columns)
    longLength = max(rows, columns)
    var count = 1
    while count < Self.largestCount && longLength / (2 * count) >= Self.shortestUnit { count *= 2 }
    self.count = count
    let even = (longLength + count - 1) / count
    unitLength = (even + Self.alignment - 1) / Self.alignment * Self.alignment
  }

  /// Indices of the longer side that some consecutive units cover.
  public func range(of units: Range<Int>) -> Range<Int> {
    min(units.lowerBound * unitLength, longLength)..<min(units.upperBound * unitLength, longLength)
  }

  /// All units.
  public var all: Range<Int> { 0..<count }

  /// The units of one member of a group; the group's size is a power of two and at most `count`.
  public func units(ofMember member: Int, of memberCount: Int) -> Range<Int> {
    precondition(
      memberCount > 0 && count % memberCount == 0 && (0..<memberCount).contains(member),
      "\(count) units cannot be shared by \(memberCount)")
    let share = count / memberCount
    return member * share..<(member + 1) * share
  }
}
