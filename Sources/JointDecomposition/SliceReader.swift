internal import Foundation
internal import LinearAlgebra

/// The slices of a stack that one rank holds: kept in memory if they fit, else read anew in each pass.
///
/// While one slice is computed on, another thread reads the next; so two are in memory at most.
final class SliceReader {
  private let source: any SliceSource
  private let slices: Range<Int>
  private let keepsSlices: Bool
  private let readsAhead: Bool
  private var kept: [Int: Slice] = [:]
  /// What every slice is multiplied by, from the next pass on; kept ones at once.
  var factor = 1.0 {
    didSet { for slice in kept.values { slice.matrix.view.scale(by: factor / oldValue) } }
  }
  /// Slices read so far.
  private(set) var readCount = 0
  /// Seconds of reading, most of them beside computing.
  private(set) var readingSeconds = 0.0
  /// Seconds in which there was no slice to compute on.
  private(set) var waitingSeconds = 0.0

  /// A reader of some slices.
  ///
  /// - Parameters:
  ///   - source: Where they come from.
  ///   - slices: Their numbers.
  ///   - memory: Bytes that kept slices may take.
  ///   - readsAhead: Whether another thread reads; a measurement that takes reading out reads by itself.
  init(_ source: any SliceSource, slices: Range<Int>, memory: Int, readsAhead: Bool = true) {
    self.source = source
    self.slices = slices
    self.readsAhead = readsAhead
    keepsSlices = slices.count * source.rows * source.columns * 4 <= memory
  }

  /// Calls a closure with each slice, in order.
  func forEachSlice(_ body: (Int, Slice) throws -> Void) throws {
    if kept.count == slices.count {
      for index in slices { if let slice = kept[index] { try body(index, slice) } }
      return
    }
    let readAhead = readsAhead ? ReadAhead(source, slices, factor: factor) : nil
    defer { readAhead?.cancel() }
    for index in slices {
      let start = Date()
      let (slice, seconds) = try readAhead?.next() ?? load(index, of: source, factor: factor)
      waitingSeconds += Date().timeIntervalSince(start)
      readingSeconds += seconds
      readCount += 1
      if keepsSlices { kept[index] = slice }
      try body(index, slice)
    }
  }
}

/// Reads a slice; returns it and the seconds it took.
private func load(_ index: Int, of source: any SliceSource, factor: Double) throws -> (Slice, Double) {
  let start = Date()
  let slice = try source.load(index)
  if factor != 1 { slice.matrix.view.scale(by: factor) }
  return (slice, Date().timeIntervalSince(start))
}

/// A thread that reads slices in order, one ahead of those that were taken.
private final class ReadAhead: @unchecked Sendable {
  // Sendable because every variable is touched only under the lock.
  private let lock = NSCondition()
  private var ready: Result<(Slice, Double), any Error>?
  private var isCancelled = false

  init(_ source: any SliceSource, _ slices: Range<Int>, factor: Double) {
    let thread = Thread {
      for index in slices {
        guard self.waitUntilTaken() else { return }
        let result = Result { try load(index, of: source, factor: factor) }
        self.offer(result)
        if case .failure = result { return }
      }
    }
    thread.name = "slices"
    thread.start()
  }

  /// The next slice and the seconds it took to read.
  func next() throws -> (Slice, Double) {
    lock.lock()
    defer { lock.unlock() }
    while true {
      if let result = ready {
        ready = nil
        lock.broadcast()
        return try result.get()
      }
      lock.wait()
    }
  }

  /// Ends the thread after the slice it is reading.
  func cancel() {
    lock.lock()
    isCancelled = true
    lock.broadcast()
    lock.unlock()
  }

  private func waitUntilTaken() -> Bool {
    lock.lock()
    defer { lock.unlock() }
    while ready != nil && !isCancelled { lock.wait() }
    return !isCancelled
  }

  private func offer(_ result: Result<(Slice, Double), any Error>) {
    lock.lock()
    ready = result
    lock.broadcast()
    lock.unlock()
  }
}
