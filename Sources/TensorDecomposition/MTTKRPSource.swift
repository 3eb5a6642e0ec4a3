public import LinearAlgebra

/// Where the products of a CP iteration come from: a tensor in memory, or one that is streamed over ranks.
///
/// The matricised tensor times Khatri-Rao product of mode n is Mₙ(r, i) = Σ x(…i…) Π_{m≠n} Uₘ(r, iₘ). Modes come in
/// groups, and one read of the data serves a group: the tensor contracted with the factors of all modes *outside*
/// the group is kept, and the modes *in* it follow from that, each with the newest factors of the others.
///
/// The driver calls, for each group in order, `prepare` once and then `mttkrp` for the modes of the group in their
/// order. Factors outside the group do not change in between; those in it do. If the methods are collective, all
/// ranks call them in this order with the same bits and get the same bits.
public protocol MTTKRPSource {
  /// The number of entries of each mode.
  var shape: [Int] { get }
  /// ‖X‖².
  var squaredNorm: Double { get }
  /// Every mode once, by the read that serves it: `[[1], [0, 2]]` is two reads a sweep.
  var modeGroups: [[Int]] { get }

  /// Reads the data once and keeps what the modes of a group need.
  ///
  /// - Parameters:
  ///   - group: Index into `modeGroups`.
  ///   - factors: One a mode, components × length; those of the group are not looked at.
  /// - Throws: What reading the data throws.
  mutating func prepare(group: Int, factors: [SharedMatrix<Double>]) throws

  /// Mₙ for a mode of the group last prepared.
  ///
  /// - Parameters:
  ///   - mode: The mode n.
  ///   - factors: As for `prepare`, but newer in the group; that of mode n itself is not looked at.
  /// - Returns: Components × length of the mode.
  /// - Throws: What the reduction over ranks throws.
  mutating func mttkrp(mode: Int, factors: [SharedMatrix<Double>]) throws -> Matrix<Double>
}

/// A dense tensor as a source: modes in two groups, two products of 2·|X|·R operations a sweep.
public struct DenseSource: MTTKRPSource {
  /// The tensor's.
  public let shape: [Int]
  /// ‖X‖².
  public let squaredNorm: Double
  /// The first modes and the last ones.
  public let modeGroups: [[Int]]
  private let tensor: DenseTensor
  private let middle: Int
  private var preparedGroup = 0
  private var partial: SharedMatrix<Double>?

  /// Refers to a tensor.
  public init(_ tensor: DenseTensor) {
    self.tensor = tensor
    shape = tensor.shape
    squaredNorm = tensor.squaredNorm
    middle = balancedSplit(tensor.shape)
    modeGroups = [Array(0..<middle), Array(middle..<tensor.modeCount)]
  }

  /// Contracts the tensor with the factors of the other group.
  public mutating func prepare(group: Int, factors: [SharedMatrix<Double>]) {
    let rank = factors[0].rowCount
    let rowCount = shape[..<middle].reduce(1, *)
    let others = khatriRao(modeGroups[1 - group].map { factors[$0] }, count: rank)
    partial = SharedMatrix(
      tensor.withElements { elements in
        let unfolded = elements.reshaped(rows: rowCount, columns: tensor.count / rowCount)
        let isFirst = group == 0
        let result = Matrix<Double>(
          uninitializedRows: rank, columns: isFirst ? unfolded.rowCount : unfolded.columnCount)
        if isFirst {
          multiply(others.view, unfolded.transposed, into: result.view)
        } else {
          multiply(others.view, unfolded, into: result.view)
        }
        return result
      })
    preparedGroup = group
  }

  /// Contracts what is left with the factors of this one.
  public mutating func mttkrp(mode: Int, factors: [SharedMatrix<Double>]) -> Matrix<Double> {
    let modes = modeGroups[preparedGroup]
    guard let partial, let kept = modes.firstIndex(of: mode) else {
      preconditionFailure("the group of mode \(mode) is not prepared")
    }
    return contractComponents(partial.matrix, keeping: kept, modes.map { factors[$0] })
  }
}
