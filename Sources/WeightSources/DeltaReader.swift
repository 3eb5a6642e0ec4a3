internal import CKernels
public import Checkpoints
public import LinearAlgebra

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

  private var recent = RecentMatrices()

  /// One for each side, kept from tensor to tensor.
  private var buffers: [UnsafeMutableRawBufferPointer] = []

  /// A reader with no file open yet.
  public init() {}

  deinit { for buffer in buffers { buffer.deallocate() } }

  /// The difference of a pair of matrices as rows × columns, or of vectors as one row, and its energy.
  ///
  /// - Parameters:
  ///   - pair: Two tensors of one or two dimensions.
  ///   - share: Which part of the longer side to read; nil for all.
  ///   - measuresBinades: Whether to sum `Delta.unitBinades` too.
  /// - Returns: The part, and the energy of each of its units, which are the same whoever reads them.
  /// - Throws: `SourceError.notFinite` with the file, tensor and index of the first NaN or infinity;
  ///   `CheckpointError` if a file cannot be read to the tensor's end.
  public func readDelta(
    _ pair: TensorPair, share: LongSideShare? = nil, measuresBinades: Bool = false
  ) throws -> Delta {
    precondition((1...2).contains(pair.shape.count), "a delta is a matrix or a vector")
    let shape = (rows: pair.shape.count == 2 ? pair.shape[0] : 1, columns: pair.shape.last ?? 0)
    let share = share ?? LongSideShare(rows: shape.rows, columns: shape.columns)
    var matrix = Matrix<Float>(recycledRows: share.localRowCount, columns: share.localColumnCount)
    var unitEnergies = [Double](repeating: 0, count: share.localUnits.count)
    var unitBinades = measuresBinades ? unitEnergies : []
    try matrix.withMutableElements { elements in
      guard var target = elements.baseAddress else { return }
      try forEachBlock(of: pair, share: share) { block, base, tuned in
        let count = block.rows.count * block.columns.count
        let isFinite = subtract(
          base, from: tuned, pair, block, into: target, share: share, addingTo: &unitEnergies)
        guard isFinite else {
          throw firstNotFinite(
            pair, in: block, target, columnCount: shape.columns, base: base, tuned: tuned)
        }
        if measuresBinades { addBinades(of: tuned, pair, block, share: share, to: &unitBinades) }
        target += count
      }
    }
    return Delta(matrix: matrix, unitEnergies: unitEnergies, unitBinades: unitBinades)
  }

  /// How large the difference of a pair of any shape is, without keeping it.
  public func measure(_ pair: TensorPair) throws -> DifferenceMeasure {
    var measure = DifferenceMeasure(energy: 0, baseEnergy: 0, largest: 0)
    try forEachRun(of: pair) { range, base, tuned in
      let found = ckernels_compare(
        base, pair.baseType.kernel, tuned, pair.tuned.elementType.kernel, range.count)
      guard found.energy.isFinite else {
        throw notFinite(pair, at: range.lowerBound, count: range.count, base: base, tuned: tuned)
      }
      measure.energy += found.energy
      measure.baseEnergy += found.base_energy
      measure.largest = max(measure.largest, Double(found.largest))
    }
    return measure
  }

  /// The stored bytes of one tensor.
  public func readBytes(_ location: TensorLocation) throws -> [UInt8] {
    let bytes = try [UInt8](unsafeUninitializedCapacity: location.byteCount) { elements, initializedCount in
      try open(location.filePath).file.read(
        into: UnsafeMutableRawBufferPointer(elements), at: location.offset, of: location.name)
      initializedCount = location.byteCount
    }
    bytesRead += location.byteCount
    return bytes
  }

  /// The values of a matrix of which parts are wanted one after the other: those asked for last stay in memory.
  public func readKept(_ location: TensorLocation) throws -> SharedMatrix<Float> {
    try recent.matrix(at: location) {
      location.elementType.decode(
        try readBytes(location), rows: location.shape[0], columns: location.shape[1])
    }
  }

  /// Large enough for a disk to stream, small enough to stay in the last-level cache until subtracted.
  private static let blockBytes = 4 << 20

  /// Part of a matrix that is read at once, whole rows of it unless a share has only some columns.
  private struct Block {
    let rows: Range<Int>
    let columns: Range<Int>
    /// The local unit the rows belong to; nil if the units are ranges of columns.
    let unit: Int?
  }

  /// Reads a share of a matrix block by block, in the order in which it lies in the files.
  private func forEachBlock(
    of pair: TensorPair, share: LongSideShare,
    _ body: (Block, _ base: UnsafeRawPointer, _ tuned: UnsafeRawPointer) throws -> Void
  ) throws {
    let isWide = share.units.isWide
    let columns = isWide ? share.localRange : 0..<share.units.shortLength
    let rowBytes = max(1, columns.count * Self.widestElement(pair))
    let rowsPerBlock = max(1, Self.blockBytes / rowBytes)
    let stripes: [(unit: Int?, rows: Range<Int>)] =
      isWide
      ? [(nil, 0..<share.units.shortLength)]
      : share.localUnits.enumerated().map { ($0, share.units.range(of: $1..<$1 + 1)) }
    try withBuffers(byteCount: rowsPerBlock * rowBytes) { base, tuned in
      guard let baseStart = base.baseAddress, let tunedStart = tuned.baseAddress else { return }
      if pair.base == nil { base.initializeMemory(as: UInt8.self, repeating: 0) }
      for (unit, rows) in stripes {
        for start in stride(from: rows.lowerBound, to: rows.upperBound, by: rowsPerBlock) {
          let end = min(start + rowsPerBlock, rows.upperBound)
          let block = Block(rows: start..<end, columns: columns, unit: unit)
          let columnCount = pair.shape.last ?? 0
          if let old = pair.base { try read(old, block, columnCount: columnCount, into: base) }
          try read(pair.tuned, block, columnCount: columnCount, into: tuned)
          try body(block, baseStart, tunedStart)
        }
      }
    }
  }

  /// Subtracts a block and adds ‖·‖² of its part in each local unit: of its rows, or of ranges of its columns.
  ///
  /// Of a wide matrix each row is added by itself, so that the sums do not depend on how many rows a block has.
  /// - Returns: Whether all differences so far are finite.
  private func subtract(
    _ base: UnsafeRawPointer, from tuned: UnsafeRawPointer, _ pair: TensorPair, _ block: Block,
    into values: UnsafeMutablePointer<Float>, share: LongSideShare, addingTo energies: inout [Double]
  ) -> Bool {
    if let unit = block.unit {
      forEachStretch(of: block.rows.count * block.columns.count) { stretch in
        let target = values + stretch.lowerBound
        subtract(base, from: tuned, pair, stretch, into: target)
        energies[unit] += ckernels_sum_of_squares(target, stretch.count)
      }
      return energies[unit].isFinite
    }
    let ranges = share.localUnits.map { share.units.range(of: $0..<$0 + 1) }
    for row in 0..<block.rows.count {
      let first = row * block.columns.count
      subtract(base, from: tuned, pair, first..<first + block.columns.count, into: values + first)
      for (index, range) in ranges.enumerated() {
        energies[index] += ckernels_sum_of_squares(
          values + first + (range.lowerBound - block.columns.lowerBound), range.count)
      }
    }
    return energies.allSatisfy(\.isFinite)
  }

  /// Adds the squared binades of a block's fine-tuned values in each local unit, as `subtract` does their energy.
  private func addBinades(
    of tuned: UnsafeRawPointer, _ pair: TensorPair, _ block: Block, share: LongSideShare,
    to sums: inout [Double]
  ) {
    let (type, width) = (pair.tuned.elementType.kernel, pair.tuned.elementType.bitWidth / 8)
    if let unit = block.unit {
      sums[unit] += ckernels_sum_of_binades(tuned, type, block.rows.count * block.columns.count)
      return
    }
    let ranges = share.localUnits.map { share.units.range(of: $0..<$0 + 1) }
    for row in 0..<block.rows.count {
      for (index, range) in ranges.enumerated() {
        let first = row * block.columns.count + range.lowerBound - block.columns.lowerBound
        sums[index] += ckernels_sum_of_binades(tuned + first * width, type, range.count)
      }
    }
  }

  /// Elements that stay in the second-level cache from one pass over them to the next.
  private func forEachStretch(of count: Int, _ body: (Range<Int>) -> Void) {
    let length = 1 << 15
    for start in stride(from: 0, to: count, by: length) { body(start..<min(start + length, count)) }
  }

  /// The error for a block whose difference has a NaN or an infinity, with its place in the tensor.
  private func firstNotFinite(
    _ pair: TensorPair, in block: Block, _ values: UnsafePointer<Float>, columnCount: Int,
    base: UnsafeRawPointer, tuned: UnsafeRawPointer
  ) -> SourceError {
    let length = block.columns.count
    let index = max(0, ckernels_first_nonfinite(values, block.rows.count * length)) / length
    let offset = index * length
    return notFinite(
      pair, at: (block.rows.lowerBound + index) * columnCount + block.columns.lowerBound, count: length,
      base: base + offset * pair.baseType.bitWidth / 8,
      tuned: tuned + offset * pair.tuned.elementType.bitWidth / 8)
  }

  private static func widestElement(_ pair: TensorPair) -> Int {
    max(pair.baseType.bitWidth, pair.tuned.elementType.bitWidth) / 8
  }

  private func withBuffers(
    byteCount: Int, _ body: (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) throws -> Void
  ) rethrows {
    if buffers.isEmpty || buffers[0].count < byteCount {
      for buffer in buffers { buffer.deallocate() }
      buffers = (0..<2).map { _ in .allocate(byteCount: byteCount, alignment: 4096) }
    }
    try body(buffers[0], buffers[1])
  }

  /// Reads a tensor of any shape block by block, element after element.
  private func forEachRun(
    of pair: TensorPair,
    _ body: (Range<Int>, _ base: UnsafeRawPointer, _ tuned: UnsafeRawPointer) throws -> Void
  ) throws {
    let blockLength = Self.blockBytes / max(1, Self.widestElement(pair))
    try withBuffers(byteCount: Self.blockBytes) { base, tuned in
      guard let baseStart = base.baseAddress, let tunedStart = tuned.baseAddress else { return }
      if pair.base == nil { base.initializeMemory(as: UInt8.self, repeating: 0) }
      for start in stride(from: 0, to: pair.elementCount, by: blockLength) {
        let range = start..<min(start + blockLength, pair.elementCount)
        if let old = pair.base { try read(old, range, into: base, at: 0) }
        try read(pair.tuned, range, into: tuned, at: 0)
        try body(range, baseStart, tunedStart)
      }
    }
  }

  /// Fills a buffer with a block's rows, one after the other.
  private func read(
    _ location: TensorLocation, _ block: Block, columnCount: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    if block.columns.count == columnCount {
      let elements = block.rows.lowerBound * columnCount..<block.rows.upperBound * columnCount
      return try read(location, elements, into: buffer, at: 0)
    }
    for (index, row) in block.rows.enumerated() {
      let start = row * columnCount
      try read(
        location, start + block.columns.lowerBound..<start + block.columns.upperBound, into: buffer,
        at: index * block.columns.count)
    }
  }

  /// Fills a buffer with elements of a tensor, from an index counted in elements.
  private func read(
    _ location: TensorLocation, _ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer,
    at index: Int
  ) throws {
    let width = location.elementType.bitWidth / 8
    let part = UnsafeMutableRawBufferPointer(
      rebasing: buffer[index * width..<(index + elements.count) * width])
    if part.count >= Self.blockBytes / 4 {
      // The device goes on with the next block while this one is copied and subtracted.
      let end = min(elements.upperBound + elements.count, location.elementCount)
      try open(location.filePath).file.prefetch(
        location.offset + elements.upperBound * width..<location.offset + end * width)
    }
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

  /// Subtracts some of a buffer's elements.
  private func subtract(
    _ base: UnsafeRawPointer, from tuned: UnsafeRawPointer, _ pair: TensorPair, _ elements: Range<Int>,
    into target: UnsafeMutablePointer<Float>
  ) {
    let (baseType, tunedType) = (pair.baseType, pair.tuned.elementType)
    ckernels_difference(
      base + elements.lowerBound * baseType.bitWidth / 8, baseType.kernel,
      tuned + elements.lowerBound * tunedType.bitWidth / 8, tunedType.kernel, target, elements.count)
  }
}
