/// A unit of work as the job sees it, which knows nothing of what is done with it.
public struct JobUnit: Sendable {
  /// What it takes, in any measure.
  public let cost: Double
  /// The file it is read from; units of one file are given to neighbours.
  public let path: String
  /// Where in the file it begins.
  public let offset: Int
  /// Bytes to read.
  public let byteCount: Int

  /// A unit from its cost, place and length.
  public init(cost: Double, path: String, offset: Int, byteCount: Int) {
    self.cost = cost
    self.path = path
    self.offset = offset
    self.byteCount = byteCount
  }
}
