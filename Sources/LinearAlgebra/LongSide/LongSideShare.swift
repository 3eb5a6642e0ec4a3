internal import Dispatch

/// This rank's part of a matrix's longer side, and how sums over the whole of it are taken.
///
/// Every sum is taken unit by unit and then over the units as a binary tree: in a thread, over threads, over the
/// members of a group. Its bits depend on the matrix's shape and entries, not on who added what.
public struct LongSideShare: Sendable {
  /// How the longer side is cut.
  public let units: LongSideUnits
  /// The ranks that hold the matrix together.
  public let group: any ReductionGroup
  /// Threads for products over the longer side.
  public let threadCount: Int

  /// One member's share of a matrix of `rows` × `columns`.
  public init(
    rows: Int, columns: Int, group: any ReductionGroup = SoleMember(), threadCount: Int = 1
  ) {
    units = LongSideUnits(rows: rows, columns: columns)
    self.group = group
    self.threadCount = threadCount
  }

  /// The units that this rank holds.
  public var localUnits: Range<Int> { units.units(ofMember: group.memberIndex, of: group.memberCount) }
  /// The indices of the longer side that this rank holds.
  public var localRange: Range<Int> { units.range(of: localUnits) }
  /// Rows and columns of the whole matrix.
  public var shape: (rowCount: Int, columnCount: Int) {
    units.isWide ? (units.shortLength, units.longLength) : (units.longLength, units.shortLength)
  }
  /// Rows that this rank holds, of all columns or of `localRange`.
  public var localRowCount: Int { units.isWide ? units.shortLength : localRange.count }
  /// Columns that this rank holds.
  public var localColumnCount: Int { units.isWide ? localRange.count : units.shortLength }

  /// A unit's indices of the longer side, counted from this rank's first.
  func offsets(ofUnit unit: Int) -> Range<Int> {
    let start = localRange.lowerBound
    let range = units.range(of: unit..<unit + 1)
    return range.lowerBound - start..<range.upperBound - start
  }

  /// Does something for each local unit, side by side as far as there are threads; the order is open.
  func forEachUnit(_ body: (Range<Int>) -> Void) {
    let units = localUnits
    guard threadCount > 1 else {
      for unit in units { body(offsets(ofUnit: unit)) }
      return
    }
    let stride = min(threadCount, units.count)
    inParallel(stride) { first in
      for index in Swift.stride(from: first, to: units.count, by: stride) {
        body(offsets(ofUnit: units.lowerBound + index))
      }
    }
  }

  /// Σ over all units of numbers known for the local ones.
  public func sum(ofUnits values: [Double]) -> Double {
    precondition(values.count == localUnits.count, "one value a local unit")
    let total = treeSum(over: localUnits, threadCount: 1) { unit in
      Matrix([values[unit - localUnits.lowerBound]], rows: 1, columns: 1)
    }
    if group.memberCount > 1 { group.sum(total.view.elements) }
    return total[0, 0]
  }

  /// Σ over all units of a number; `leaf` gets a local unit's offsets.
  package func sum(_ leaf: (Range<Int>) -> Double) -> Double {
    let total = sum(rows: 1, columns: 1) { offsets, value in value.row(0)[0] = leaf(offsets) }
    return total[0, 0]
  }

  /// Σ over all units of a matrix; `leaf` writes a local unit's part, whose offsets it gets.
  func sum<Element: BinaryFloatingPoint & BitwiseCopyable & Sendable>(
    rows: Int, columns: Int, leaf: (Range<Int>, MatrixView<Element>) -> Void
  ) -> Matrix<Element> {
    let total = treeSum(over: localUnits, threadCount: threadCount) { unit in
      let part = Matrix<Element>(uninitializedRows: rows, columns: columns)
      leaf(offsets(ofUnit: unit), part.view)
      return part
    }
    if group.memberCount > 1 { group.sum(total.view.elements) }
    return total
  }
}

extension LongSideShare {
  /// The whole long vectors on every rank, from each rank's columns of them.
  func gathered(_ vectors: MatrixView<Float>) -> Matrix<Float> {
    let whole = Matrix<Float>(repeating: 0, rows: vectors.rowCount, columns: units.longLength)
    for row in 0..<vectors.rowCount {
      let (target, source) = (whole.view.columns(localRange).row(row), vectors.row(row))
      // Added, not copied: a group adds zeros, and −0 + 0 is 0.
      for column in source.indices { target[column] += source[column] }
    }
    if group.memberCount > 1 { group.sum(whole.view.elements) }
    return whole
  }
}

/// Sums over consecutive units, a power of two of them, as a balanced binary tree.
///
/// Halves run side by side while there are threads for both; the sum does not depend on it.
private func treeSum<Element: BinaryFloatingPoint & BitwiseCopyable & Sendable>(
  over units: Range<Int>, threadCount: Int, leaf: (Int) -> Matrix<Element>
) -> Matrix<Element> {
  guard units.count > 1 else { return leaf(units.lowerBound) }
  let middle = units.lowerBound + units.count / 2
  let halves = [units.lowerBound..<middle, middle..<units.upperBound]
  let threads = threadCount - threadCount / 2
  let sums = [Box<Element>(), Box<Element>()]
  if threadCount > 1 {
    inParallel(2) { half in
      sums[half].value = treeSum(over: halves[half], threadCount: threads, leaf: leaf)
    }
  } else {
    for half in 0..<2 { sums[half].value = treeSum(over: halves[half], threadCount: 1, leaf: leaf) }
  }
  guard let left = sums[0].value.take(), let right = sums[1].value.take() else {
    preconditionFailure("both halves of a sum have been taken")
  }
  let (target, added) = (left.view.elements, right.view.elements)
  for index in target.indices { target[index] += added[index] }
  return left
}

/// A place for a matrix where a closure can leave it.
private final class Box<Element: BitwiseCopyable & Sendable> {
  var value: Matrix<Element>?
}

/// Calls a closure with 0, 1, … on as many threads as there are, and returns after the last call.
///
/// The calls must not touch the same memory: the compiler is told to trust that.
private func inParallel(_ count: Int, _ body: (Int) -> Void) {
  withoutActuallyEscaping(body) { escapable in
    nonisolated(unsafe) let body = escapable
    DispatchQueue.concurrentPerform(iterations: count) { body($0) }
  }
}

/// The same on so many threads at most; on the calling one alone, in order, if there is one.
package func inParallel(_ count: Int, threadCount: Int, _ body: (Int) -> Void) {
  let stride = min(threadCount, count)
  guard stride > 1 else { return (0..<count).forEach(body) }
  inParallel(stride) { first in
    for index in Swift.stride(from: first, to: count, by: stride) { body(index) }
  }
}
