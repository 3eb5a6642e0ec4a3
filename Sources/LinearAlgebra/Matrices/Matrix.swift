/// A dense matrix that owns its memory, row-major and contiguous, as weights lie in their files.
///
/// Row-major throughout, so that nothing between a safetensors file and the BLAS is ever transposed; a set of
/// vectors is kept as the *rows* of a matrix, where each is contiguous. The memory is aligned to 64 bytes.
public struct Matrix<Element: BitwiseCopyable & Sendable>: ~Copyable, @unchecked Sendable {
  // Sendable because it is the only owner of its memory and moves, never shares.

  /// The number of rows.
  public let rowCount: Int
  /// The number of columns, which is also the distance between rows.
  public let columnCount: Int
  private let base: UnsafeMutablePointer<Element>
  /// The memory, if it goes back to where the next large matrix finds it.
  private let recycled: RecycledMemory.Block?

  /// Allocates a matrix whose elements the caller must write before reading.
  ///
  /// Untouched pages take no memory, so a generous capacity costs nothing until it is used.
  public init(uninitializedRows rowCount: Int, columns columnCount: Int) {
    self.init(rowCount, columnCount, isRecycled: false)
  }

  /// The same in memory that an earlier matrix made this way has left, if that was large enough.
  ///
  /// For the matrices that a job takes one after the other.
  public init(recycledRows rowCount: Int, columns columnCount: Int) {
    self.init(rowCount, columnCount, isRecycled: true)
  }

  private init(_ rowCount: Int, _ columnCount: Int, isRecycled: Bool) {
    precondition(rowCount >= 0 && columnCount >= 0, "a matrix has no negative dimension")
    self.rowCount = rowCount
    self.columnCount = columnCount
    let count = max(1, rowCount * columnCount)
    let byteCount = count * MemoryLayout<Element>.stride
    let isLarge = byteCount >= 2 * hugePageByteCount
    recycled = isLarge && isRecycled ? RecycledMemory.take(byteCount: byteCount) : nil
    let start =
      recycled?.start
      ?? (isLarge
        ? allocateLarge(byteCount: byteCount)
        : UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64))
    base = start.bindMemory(to: Element.self, capacity: count)
  }

  /// Allocates a matrix with every element equal.
  public init(repeating value: Element, rows rowCount: Int, columns columnCount: Int) {
    self.init(uninitializedRows: rowCount, columns: columnCount)
    base.initialize(repeating: value, count: count)
  }

  /// Copies a row-major array of exactly `rowCount * columnCount` elements.
  public init(_ elements: [Element], rows rowCount: Int, columns columnCount: Int) {
    precondition(elements.count == rowCount * columnCount, "the array does not fill the matrix")
    self.init(uninitializedRows: rowCount, columns: columnCount)
    elements.withUnsafeBufferPointer { source in
      if let first = source.baseAddress { base.initialize(from: first, count: source.count) }
    }
  }

  deinit {
    if let recycled { RecycledMemory.give(recycled) } else { base.deallocate() }
  }

  /// Rows and columns.
  public var shape: (rowCount: Int, columnCount: Int) { (rowCount, columnCount) }

  /// The number of elements.
  public var count: Int { rowCount * columnCount }

  /// One element.
  public subscript(row: Int, column: Int) -> Element {
    get {
      precondition(row >= 0 && row < rowCount && column >= 0 && column < columnCount)
      return base[row * columnCount + column]
    }
    set {
      precondition(row >= 0 && row < rowCount && column >= 0 && column < columnCount)
      base[row * columnCount + column] = newValue
    }
  }

  /// All elements, row after row.
  public var elements: [Element] {
    Array(UnsafeBufferPointer(start: base, count: count))
  }

  /// The matrix as a strided block, valid while the matrix lives.
  package var view: MatrixView<Element> {
    MatrixView(base: base, rowCount: rowCount, columnCount: columnCount, stride: columnCount)
  }

  /// Lends the elements, row after row, for reading.
  package borrowing func withElements<Result, Failure: Error>(
    _ body: (UnsafeBufferPointer<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeBufferPointer(start: base, count: count))
  }

  /// Lends the elements, row after row, for writing.
  package mutating func withMutableElements<Result, Failure: Error>(
    _ body: (UnsafeMutableBufferPointer<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeMutableBufferPointer(start: base, count: count))
  }
}

extension Matrix {
  /// A copy with rows and columns exchanged.
  public borrowing func transposed() -> Matrix {
    let result = Matrix(uninitializedRows: columnCount, columns: rowCount)
    view.transpose(into: result.view)
    return result
  }

  /// A copy of the first rows.
  public borrowing func firstRows(_ keptCount: Int) -> Matrix {
    precondition(keptCount >= 0 && keptCount <= rowCount, "cannot keep more rows than there are")
    let result = Matrix(uninitializedRows: keptCount, columns: columnCount)
    result.base.initialize(from: base, count: result.count)
    return result
  }
}

extension Matrix where Element == Double {
  /// All entries in single precision.
  package borrowing func narrowed() -> Matrix<Float> { narrowed(rows: rowCount) }

  /// The first rows in single precision.
  package borrowing func narrowed(rows keptCount: Int) -> Matrix<Float> {
    let result = Matrix<Float>(uninitializedRows: keptCount, columns: columnCount)
    for row in 0..<keptCount {
      let (narrow, wide) = (result.view.row(row), view.row(row))
      for column in wide.indices { narrow[column] = Float(wide[column]) }
    }
    return result
  }
}
