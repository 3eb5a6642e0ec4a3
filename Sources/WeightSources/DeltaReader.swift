internal import CKernels
public import Checkpoints
internal import LinearAlgebra

/// Reads differences tuned − base of stored values, in single precision, block by block.
///
/// The stored values are widened exactly and subtracted once: the difference of two bf16 or f16 weights is
/// exact unless their exponents differ by more than 16. Files stay open between tensors. Not for use from
/// two threads at once.
public final class DeltaReader {
  private var openFiles: [String: OpenFile] = [:]
  /// Bytes read so far.
  public private(set) var bytesRead = 0

  /// A noncopyable file cannot be a dictionary's value.
  private final class OpenFile {
    let file: RandomAccessFile
    init(path: String) throws { file = try RandomAccessFile(path: path) }
  }

  /// A reader with no file open yet.
  public init() {}

  /// The difference of a pair of matrices as rows × columns, or of vectors as one row, and its energy.
  ///
  /// - Throws: `SourceError.notFinite` with the file, tensor and index of the first NaN or infinity;
  ///   `CheckpointError` if a file cannot be read to the tensor's end.
  public func readDelta(_ pair: TensorPair) throws -> Delta {
    precondition((1...2).contains(pair.shape.count), "a delta is a matrix or a vector")
    let rowCount = pair.shape.count == 2 ? pair.shape[0] : 1
    var matrix = Matrix<Float>(uninitializedRows: rowCount, columns: pair.shape.last ?? 0)
    var energy = 0.0
    try matrix.withMutableElements { elements in
      try forEachBlock(of: pair) { range, base, tuned in
        guard range.count > 0, let start = elements.baseAddress else { return }
        let target = start + range.lowerBound
        subtract(base, from: tuned, pair, into: target, count: range.count)
        let sum = ckernels_sum_of_squares(target, range.count)
        guard sum.isFinite else {
          throw notFinite(pair, at: range.lowerBound, count: range.count, base: base, tuned: tuned)
        }
        energy += sum
      }
    }
    return Delta(matrix: matrix, energy: energy)
  }

  /// How large the difference of a pair of any shape is, without keeping it.
  public func measure(_ pair: TensorPair) throws -> DifferenceMeasure {
    var measure = DifferenceMeasure(energy: 0, baseEnergy: 0, largest: 0)
    let scratch = UnsafeMutablePointer<Float>.allocate(capacity: Self.blockBytes)
    defer { scratch.deallocate() }
    try forEachBlock(of: pair) { range, base, tuned in
      subtract(base, from: tuned, pair, into: scratch, count: range.count)
      let sum = ckernels_sum_of_squares(scratch, range.count)
      guard sum.isFinite else {
        throw notFinite(pair, at: range.lowerBound, count: range.count, base: base, tuned: tuned)
      }
      measure.energy += sum
      let largest = ckernels_largest_magnitude(scratch, range.count)
      if largest >= 0 { measure.largest = max(measure.largest, Double(abs(scratch[largest]))) }
      ckernels_widen(base, pair.base.elementType.kernel, scratch, range.count)
      measure.baseEnergy += ckernels_sum_of_squares(scratch, range.count)
    }
    return measure
  }

  /// The stored bytes of one tensor.
  public func readBytes(_ location: TensorLocation) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: location.byteCount)
    try bytes.withUnsafeMutableBytes { buffer in
      try open(location.filePath).file.read(into: buffer, at: location.offset, of: location.name)
    }
    bytesRead += location.byteCount
    return bytes
  }

  /// Large enough for a disk to stream, small enough to stay in the last-level cache until subtracted.
  private static let blockBytes = 4 << 20

  private func forEachBlock(
    of pair: TensorPair,
    _ body: (Range<Int>, _ base: UnsafeRawPointer, _ tuned: UnsafeRawPointer) throws -> Void
  ) throws {
    let elementBytes = max(pair.base.elementType.bitWidth, pair.tuned.elementType.bitWidth) / 8
    let blockLength = Self.blockBytes / max(1, elementBytes)
    let base = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.blockBytes, alignment: 64)
    let tuned = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.blockBytes, alignment: 64)
    defer {
      base.deallocate()
      tuned.deallocate()
    }
    guard let baseStart = base.baseAddress, let tunedStart = tuned.baseAddress else { return }
    for start in stride(from: 0, to: pair.elementCount, by: blockLength) {
      let range = start..<min(start + blockLength, pair.elementCount)
      try read(pair.base, range, into: base)
      try read(pair.tuned, range, into: tuned)
      try body(range, baseStart, tunedStart)
    }
  }

  private func read(
    _ location: TensorLocation, _ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    let width = location.elementType.bitWidth / 8
    let part = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<elements.count * width])
    try open(location.filePath).file.read(
      into: part, at: location.offset + elements.lowerBound * width, of: location.name)
    bytesRead += part.count
  }

  private func open(_ path: String) throws -> OpenFile {
    if let open = openFiles[path] { return open }
    let open = try OpenFile(path: path)
    openFiles[path] = open
    return open
  }

  private func subtract(
    _ base: UnsafeRawPointer, from tuned: UnsafeRawPointer, _ pair: TensorPair,
    into target: UnsafeMutablePointer<Float>, count: Int
  ) {
    ckernels_difference(
      base, pair.base.elementType.kernel, tuned, pair.tuned.elementType.kernel, target, count)
  }
}
