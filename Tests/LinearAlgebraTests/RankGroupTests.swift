import Foundation
import LinearAlgebra
import Testing
import TestSupport

/// Members of a group as threads of this process, which exchange through a common table.
private final class ThreadGroup: @unchecked Sendable {
  // Sendable because the table is touched only under the condition's lock.
  private let condition = NSCondition()
  private var messages: [[Int]: [[UInt8]]] = [:]
  private(set) var bytesSent = 0

  func send(_ bytes: [UInt8], from sender: Int, to receiver: Int) {
    condition.lock()
    messages[[sender, receiver], default: []].append(bytes)
    bytesSent += bytes.count
    condition.broadcast()
    condition.unlock()
  }

  func receive(from sender: Int, to receiver: Int) -> [UInt8] {
    condition.lock()
    defer { condition.unlock() }
    while messages[[sender, receiver]]?.isEmpty ?? true { condition.wait() }
    return messages[[sender, receiver]]?.removeFirst() ?? []
  }

  struct Member: ReductionGroup {
    let group: ThreadGroup
    let memberIndex: Int
    let memberCount: Int

    func exchange(_ bytes: [UInt8], with member: Int) -> [UInt8] {
      group.send(bytes, from: memberIndex, to: member)
      return group.receive(from: member, to: memberIndex)
    }
  }
}

/// What a decomposition comes to, for comparison bit by bit.
private struct Outcome: Equatable, Sendable {
  var u: [Float]
  var s: [Double]
  var vh: [Float]
  var report: TruncatedSVD.Report
}

private func decompose(
  _ matrix: borrowing Matrix<Float>, members: Int, threads: Int = 1, method: TruncatedSVD.Method = .krylov
) throws -> [Outcome] {
  let (rows, columns) = matrix.shape
  let group = ThreadGroup()
  let shares = (0..<members).map { index in
    LongSideShare(
      rows: rows, columns: columns,
      group: ThreadGroup.Member(group: group, memberIndex: index, memberCount: members), threadCount: threads)
  }
  let parts = shares.map { share in
    (0..<share.localRowCount).flatMap { row in
      (0..<share.localColumnCount).map { column in
        let start = share.localRange.lowerBound
        return share.units.isWide ? matrix[row, start + column] : matrix[start + row, column]
      }
    }
  }
  return try gather(members) { index in
    let share = shares[index]
    var part = Matrix(parts[index], rows: share.localRowCount, columns: share.localColumnCount)
    return Result { () throws -> Outcome in
      let svd = try TruncatedSVD(
        of: &part, share: share, options: .init(rank: 24, tolerance: 1e-3, method: method))
      return Outcome(u: svd.u.elements, s: svd.s, vh: svd.vh.elements, report: svd.report)
    }
  }.map { try $0.get() }
}

@Suite struct RankGroupTests {
  @Test(
    "a group of ranks and a rank with threads get the bits of one rank alone",
    arguments: [(4100, 70), (90, 4500), (2048, 2048)], [TruncatedSVD.Method.krylov, .gram])
  func sameBits(shape: (rows: Int, columns: Int), method: TruncatedSVD.Method) throws {
    let matrix = TestMatrices.noise(rows: shape.rows, columns: shape.columns)
    let alone = try decompose(matrix, members: 1, method: method)[0]
    for members in [2, 4] where LongSideUnits(rows: shape.rows, columns: shape.columns).count >= members {
      #expect(
        try decompose(matrix, members: members, method: method) == Array(repeating: alone, count: members))
    }
    #expect(try decompose(matrix, members: 1, threads: 3, method: method)[0] == alone)
  }

  @Test(
    "units cover the longer side once, and every group divides them",
    arguments: [(1, 1), (1, 128_256), (4096, 4096), (4097, 5), (3, 16_385), (28_672, 8192), (0, 0)])
  func units(rows: Int, columns: Int) {
    let units = LongSideUnits(rows: rows, columns: columns)
    #expect(units.longLength == max(rows, columns) && units.shortLength == min(rows, columns))
    var members = 1
    while members <= units.count {
      let ranges = (0..<members).map { units.range(of: units.units(ofMember: $0, of: members)) }
      #expect(ranges.first?.lowerBound == 0 && ranges.last?.upperBound == units.longLength)
      #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
      #expect(units.longLength < 2048 || ranges.allSatisfy { !$0.isEmpty })
      members *= 2
    }
  }

  @Test(
    "sums over a group add pairwise, whichever way they travel", arguments: [2, 4, 8],
    [1, 7, 4095, 4096, 10_001])
  func sums(members: Int, count: Int) {
    let values = (0..<members).map { member in
      (0..<count).map { Float($0 % 97) * 0.1 + Float(member) / 3 }
    }
    let expected = (0..<count).map { index -> Float in
      var sums = values.map { $0[index] }
      while sums.count > 1 { sums = stride(from: 0, to: sums.count, by: 2).map { sums[$0] + sums[$0 + 1] } }
      return sums[0]
    }
    let group = ThreadGroup()
    let sums = gather(members) { member in
      let matrix = Matrix(values[member], rows: 1, columns: count)
      ThreadGroup.Member(group: group, memberIndex: member, memberCount: members).sum(matrix.view.elements)
      return matrix.elements
    }
    #expect(sums == Array(repeating: expected, count: members))
  }
}

/// Calls a closure on a thread of its own for each member, since members wait for each other.
private func gather<Value: Sendable>(_ count: Int, _ body: @escaping @Sendable (Int) -> Value) -> [Value] {
  let gathered = Gathered<Value>(count: count)
  for index in 0..<count {
    let thread = Thread { gathered.set(index, body(index)) }
    thread.stackSize = 16 << 20
    thread.start()
  }
  return gathered.wait()
}

private final class Gathered<Value: Sendable>: @unchecked Sendable {
  // Sendable because the array is touched only under the condition's lock.
  private let condition = NSCondition()
  private var results: [Value?]

  init(count: Int) { results = Array(repeating: nil, count: count) }

  func set(_ index: Int, _ result: Value) {
    condition.lock()
    results[index] = result
    condition.broadcast()
    condition.unlock()
  }

  func wait() -> [Value] {
    condition.lock()
    defer { condition.unlock() }
    while results.contains(where: { $0 == nil }) { condition.wait() }
    return results.compactMap { $0 }
  }
}
