public import LinearAlgebra

/// A dense tensor of two or more modes in double precision, row-major: the last index runs fastest.
///
/// Small enough to be whole on a rank, as the core of a Tucker decomposition is. Not changed once it is made.
public struct DenseTensor: Sendable {
  /// The number of entries of each mode.
  public let shape: [Int]
  private let storage: SharedMatrix<Double>

  /// Takes over the elements of a matrix, row after row, as a tensor of this shape.
  public init(_ matrix: consuming Matrix<Double>, shape: [Int]) {
    precondition(
      shape.count >= 2 && shape.allSatisfy { $0 > 0 }, "a tensor has two modes or more, none empty")
    precondition(shape.reduce(1, *) == matrix.count, "the elements do not fill the tensor")
    self.shape = shape
    storage = SharedMatrix(matrix)
  }

  /// Copies a row-major array.
  public init(_ elements: [Double], shape: [Int]) {
    self.init(Matrix(elements, rows: 1, columns: elements.count), shape: shape)
  }

  /// The number of modes.
  public var modeCount: Int { shape.count }
  /// The number of entries.
  public var count: Int { storage.matrix.count }
  /// All entries, the last index running fastest.
  public var elements: [Double] { storage.matrix.elements }

  /// One entry.
  public subscript(indices: Int...) -> Double {
    precondition(indices.count == modeCount, "an entry has one index a mode")
    let offset = zip(indices, shape).reduce(0) { offset, pair in
      precondition(pair.0 >= 0 && pair.0 < pair.1, "index outside the tensor")
      return offset * pair.1 + pair.0
    }
    return storage.matrix.withElements { $0[offset] }
  }

  /// ‖X‖².
  public var squaredNorm: Double { withElements { $0.sumOfSquares() } }

  /// Σ xᵢ·yᵢ over all entries of two tensors of one shape.
  public func innerProduct(_ other: DenseTensor) -> Double {
    precondition(shape == other.shape, "tensors differ in shape")
    return withElements { own in other.withElements { LinearAlgebra.innerProduct(own, $0) } }
  }

  /// ‖X − Y‖², summed over the differences, so that it holds however small it is.
  public func squaredDistance(to other: DenseTensor) -> Double {
    precondition(shape == other.shape, "tensors differ in shape")
    let difference = Matrix<Double>(uninitializedRows: 1, columns: count)
    withElements { own in difference.view.copy(from: own) }
    other.withElements { add($0, times: -1, into: difference.view) }
    return difference.view.sumOfSquares()
  }

  /// The entries with one index fixed, as a tensor of one mode less; three modes or more.
  public func slice(mode: Int, index: Int) -> DenseTensor {
    precondition(modeCount > 2, "a slice of a matrix is no tensor")
    let (left, own, right) = split(around: mode)
    precondition(index >= 0 && index < own, "the slice is outside the tensor")
    let result = Matrix<Double>(uninitializedRows: left, columns: right)
    withElements { elements in
      let unfolded = elements.reshaped(rows: left, columns: own * right)
      result.view.copy(from: unfolded.columns(index * right..<(index + 1) * right))
    }
    var shape = shape
    shape.remove(at: mode)
    return DenseTensor(result, shape: shape)
  }

  /// The indices of the first entry that is NaN or infinite, if there is one.
  public func firstNonFinite() -> [Int]? {
    guard var offset = storage.matrix.withElements({ $0.firstIndex { !$0.isFinite } }) else { return nil }
    var indices: [Int] = []
    for length in shape.reversed() {
      indices.append(offset % length)
      offset /= length
    }
    return indices.reversed()
  }

  /// The number of entries before, of and after a mode: the tensor as left × own × right.
  func split(around mode: Int) -> (left: Int, own: Int, right: Int) {
    precondition(shape.indices.contains(mode), "the tensor has no such mode")
    return (shape[..<mode].reduce(1, *), shape[mode], shape[(mode + 1)...].reduce(1, *))
  }

  /// Lends the entries as a block of one row.
  func withElements<Result: ~Copyable>(_ body: (MatrixView<Double>) -> Result) -> Result {
    func lend(_ matrix: borrowing Matrix<Double>) -> Result {
      body(matrix.view.reshaped(rows: 1, columns: matrix.count))
    }
    return lend(storage.matrix)
  }
}
