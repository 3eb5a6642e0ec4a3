/// The ranks that hold one matrix together, a share of its longer side each.
///
/// What travels between them is partial sums; this layer knows nothing of how. The number of members is a power
/// of two, so that sums over members continue the binary tree of sums over units (`LongSideUnits`).
public protocol ReductionGroup: Sendable {
  /// How many members there are: 1, 2, 4, 8 or 16.
  var memberCount: Int { get }
  /// This member's number, from 0; members hold consecutive shares in this order.
  var memberIndex: Int { get }
  /// Gives bytes to another member and returns the bytes it gives, once it has made the same call towards this one.
  func exchange(_ bytes: [UInt8], with member: Int) -> [UInt8]
}

/// The group of one rank that holds a whole matrix.
public struct SoleMember: ReductionGroup {
  /// A group without others.
  public init() {}
  /// One.
  public var memberCount: Int { 1 }
  /// Zero.
  public var memberIndex: Int { 0 }
  /// Never called.
  public func exchange(_ bytes: [UInt8], with member: Int) -> [UInt8] {
    preconditionFailure("a sole member has nobody to exchange with")
  }
}

extension ReductionGroup {
  /// Replaces every member's values by their sums over all members, added pairwise as a binary tree.
  ///
  /// Each element's sum is ((0+1)+(2+3))+… whichever way it takes, so all members end with the same bits. Each
  /// member sends 2·(1 − 1/g) times the values for g members (recursive halving and doubling: Thakur, Rabenseifner
  /// and Gropp, 2005), or log₂g times where they are few and rounds count more than bytes.
  package func sum<Element: BinaryFloatingPoint & BitwiseCopyable>(
    _ values: UnsafeMutableBufferPointer<Element>
  ) {
    if memberCount > 2 && values.count >= 4096 {
      sumByHalving(values)
    } else {
      for distance in distances {
        add(exchange(bytes(of: values), with: memberIndex ^ distance), to: values)
      }
    }
  }

  private var distances: [Int] { (0..<memberCount.trailingZeroBitCount).map { 1 << $0 } }

  private func sumByHalving<Element: BinaryFloatingPoint & BitwiseCopyable>(
    _ values: UnsafeMutableBufferPointer<Element>
  ) {
    var rounds: [(partner: Int, kept: Range<Int>, given: Range<Int>)] = []
    var range = 0..<values.count
    for distance in distances {
      let middle = range.lowerBound + range.count / 2
      let (lower, upper) = (range.lowerBound..<middle, middle..<range.upperBound)
      let keepsLower = memberIndex & distance == 0
      let round = (memberIndex ^ distance, keepsLower ? lower : upper, keepsLower ? upper : lower)
      // Halves may differ by one element; the bytes given and taken then differ, which an exchange allows.
      let incoming = exchange(bytes(of: part(values, round.2)), with: round.0)
      add(incoming, to: part(values, round.1))
      rounds.append(round)
      range = round.1
    }
    for round in rounds.reversed() {
      let incoming = exchange(bytes(of: part(values, round.kept)), with: round.partner)
      UnsafeMutableRawBufferPointer(part(values, round.given)).copyBytes(from: incoming)
    }
  }

  private func part<Element>(_ values: UnsafeMutableBufferPointer<Element>, _ range: Range<Int>)
    -> UnsafeMutableBufferPointer<Element>
  {
    UnsafeMutableBufferPointer(rebasing: values[range])
  }

  private func bytes<Element>(of values: UnsafeMutableBufferPointer<Element>) -> [UInt8] {
    Array(UnsafeRawBufferPointer(values))
  }

  private func add<Element: BinaryFloatingPoint & BitwiseCopyable>(
    _ bytes: [UInt8], to values: UnsafeMutableBufferPointer<Element>
  ) {
    bytes.withUnsafeBytes { raw in
      precondition(
        raw.count == values.count * MemoryLayout<Element>.stride, "members hold arrays of unlike lengths")
      raw.withMemoryRebound(to: Element.self) { incoming in
        for index in values.indices { values[index] += incoming[index] }
      }
    }
  }
}
