public import LinearAlgebra
internal import TensorDecomposition

/// A Tucker decomposition of a stack: A_l ≈ U₁ᵀ·G_l·U₂, with bases that all slices share.
///
/// 1. Coupled subspace iteration finds larger subspaces of both sides in few reads.
/// 2. One more read gives the stack as they see it, small enough for one rank.
/// 3. HOOI decomposes that in double precision.
public struct StackTucker: Sendable {
  /// U₁: orthonormal vectors of the rows' side as rows, r₁ × m; the largest entry of each is positive.
  public let left: SharedMatrix<Float>
  /// U₂: the same of the columns' side, r₂ × n.
  public let right: SharedMatrix<Float>
  /// The layers' basis, r₃ × layers; nil if layers are left whole.
  public let layerBasis: SharedMatrix<Float>?
  /// The core as it is stored, in the order of its modes: tuned (if there are several), layer, left, right.
  public let core: [Float]
  /// Its lengths.
  public let coreShape: [Int]
  /// How the iteration went.
  public let report: Report
  private let outerShape: [Int]
  private let factor: Double

  /// How the iteration went.
  public struct Report: Sendable, Codable, Equatable {
    /// The energy that the subspaces captured when each step began.
    public let capturedEnergies: [Double]
    /// The energy inside the sketched subspaces: what no choice of bases among them can exceed.
    public let sketchedEnergy: Double
    /// Whether the last step before the core gained less than a hundredth of what is captured.
    public let isConverged: Bool
  }

  /// What is wanted.
  public struct Options: Sendable, Equatable {
    /// Basis vectors of each side, or the relative error to stay below.
    public var size: Size
    /// Basis vectors of the layers; nil leaves them whole.
    public var layerRank: Int?
    /// Steps of the subspace iteration at most; nil for 3, or 12 where the stack is small.
    public var stepLimit: Int?

    /// What decides how large the bases are.
    public enum Size: Sendable, Equatable {
      /// Ranks of the rows' and the columns' side.
      case ranks(left: Int, right: Int)
      /// ‖X − X̂‖ ≤ ε·‖X‖ with as few vectors as the iteration can tell.
      case tolerance(Double)
    }

    /// Bytes up to which a stack counts as small: it is refined until it stands still, with more reads.
    package var smallStackBytes = 1 << 30

    /// Options of given size.
    public init(_ size: Size, layerRank: Int? = nil, stepLimit: Int? = nil) {
      self.size = size
      self.layerRank = layerRank
      self.stepLimit = stepLimit
    }
  }

  /// Collective: decomposes a stack; nil if all its entries are zero.
  ///
  /// - Parameters:
  ///   - stack: The slices.
  ///   - options: What is wanted; ranks no larger than the stack's sides.
  ///   - state: Where an interrupted run had come; not used with a tolerance.
  ///   - keep: Called on every rank after each step with the state to carry on from.
  /// - Throws: What is wrong with a slice, what `keep` throws, or `LAPACKError`.
  public init?(
    _ stack: SliceStack, _ options: Options, from state: CoupledSubspaces? = nil,
    keep: (CoupledSubspaces) throws -> Void = { _ in }
  ) throws {
    let whole = stack.outerShape.count
    let layerRanks = [Int?](repeating: nil, count: whole - 1) + [options.layerRank]
    switch options.size {
    case .ranks(let left, let right):
      let seen = try SeenCore(
        stack, left, right, stepLimit: options.stepLimit, smallStackBytes: options.smallStackBytes,
        from: state,
        keep: keep)
      guard let seen else { return nil }
      try self.init(
        seen, .ranks(layerRanks + [left, right]), hasLayerBasis: options.layerRank != nil, stack)
    case .tolerance(let tolerance):
      guard let seen = try SeenCore(stack, tolerance: tolerance) else { return nil }
      let allowed = tolerance * tolerance * stack.scaledEnergy - (stack.scaledEnergy - seen.energy)
      let inner = min(0.999_999, max(1e-7, allowed / seen.energy).squareRoot())
      let leftWhole = options.layerRank == nil ? Set(0..<whole) : Set(0..<whole - 1)
      try self.init(
        seen, .tolerance(inner, whole: leftWhole), hasLayerBasis: options.layerRank != nil, stack)
    }
  }

  /// Collective: from a core, which rank 0 decomposes.
  private init(
    _ seen: SeenCore, _ truncation: TuckerDecomposition.Truncation, hasLayerBasis: Bool, _ stack: SliceStack
  ) throws {
    let found = try stack.ranks.fromFirst { try coreDecomposition(of: seen.core, truncation) }
    let bases = found.dropLast()
    let modes = bases.count
    let left = orthonormalProduct(bases[modes - 2], seen.subspaces.left)
    let right = orthonormalProduct(bases[modes - 1], seen.subspaces.right)
    coreShape = bases.map(\.rowCount)
    var core = found[modes].matrix.elements
    let signs = (left.signsOfLargest(), right.signsOfLargest())
    for index in core.indices {
      let column = index % coreShape[modes - 1]
      let row = index / coreShape[modes - 1] % coreShape[modes - 2]
      core[index] *= signs.0[row] * signs.1[column] / stack.factor
    }
    left.flipRows(signs.0)
    right.flipRows(signs.1)
    self.left = SharedMatrix(left)
    self.right = SharedMatrix(right)
    self.core = core.map { Float($0) }
    // A basis of all layers turns the core as any other does.
    layerBasis = hasLayerBasis ? SharedMatrix(bases[modes - 3].matrix.narrowed()) : nil
    let scale = 1 / (stack.factor * stack.factor)
    report = Report(
      capturedEnergies: seen.subspaces.capturedEnergies.map { $0 * scale },
      sketchedEnergy: seen.energy * scale, isConverged: seen.isConverged)
    outerShape = stack.outerShape
    factor = stack.factor
  }
}

/// A core's bases, one a mode, and after them its own core as one row.
private func coreDecomposition(of core: DenseTensor, _ truncation: TuckerDecomposition.Truncation) throws
  -> [SharedMatrix<Double>]
{
  var options = TuckerDecomposition.Options()
  // The sketches left out more than that.
  options.convergence = 1e-7
  options.sweepLimit = 30
  let tucker = try TuckerDecomposition(of: core, truncation, options: options)
  let bases = tucker.bases.enumerated().map { $1 ?? identity(core.shape[$0]) }
  return bases + [SharedMatrix(Matrix(tucker.core.elements, rows: 1, columns: tucker.core.count))]
}

private func identity(_ order: Int) -> SharedMatrix<Double> {
  var matrix = Matrix<Double>(repeating: 0, rows: order, columns: order)
  for index in 0..<order { matrix[index, index] = 1 }
  return SharedMatrix(matrix)
}

/// W·Q for orthonormal rows W in double and Q in single precision, orthonormal to single precision.
private func orthonormalProduct(_ weights: SharedMatrix<Double>, _ basis: SharedMatrix<Float>) -> Matrix<
  Float
> {
  let narrow = weights.matrix.narrowed()
  return product(narrow.view, basis.matrix.view)
}

extension Matrix where Element == Float {
  /// The sign of the entry of each row with the largest magnitude; 1 for a zero row.
  borrowing func signsOfLargest() -> [Double] {
    let block = view
    return (0..<rowCount).map { row in
      block.largestColumn(inRow: row).map { block.row(row)[$0] < 0 ? -1 : 1 } ?? 1
    }
  }

  /// Multiplies rows by signs.
  borrowing func flipRows(_ signs: [Double]) {
    for (row, sign) in signs.enumerated() where sign < 0 { view.scaleRow(row, by: -1) }
  }
}

extension StackTucker: StackModel {
  var parameterCount: Int {
    let bases = left.matrix.count + right.matrix.count + (layerBasis?.matrix.count ?? 0)
    return bases + core.count
  }

  /// G_l of one slice, r₁ × r₂, as the stored numbers give it.
  func coreSlice(_ index: Int) -> Matrix<Float> {
    let modes = coreShape.count
    let (rows, columns) = (coreShape[modes - 2], coreShape[modes - 1])
    let size = rows * columns
    guard let layerBasis else {
      return Matrix(Array(core[index * size..<(index + 1) * size]), rows: rows, columns: columns)
    }
    let layerCount = layerBasis.columnCount
    let (tuned, layer) = (index / layerCount, index % layerCount)
    var sum = [Double](repeating: 0, count: size)
    for vector in 0..<layerBasis.rowCount {
      let weight = Double(layerBasis.matrix[vector, layer])
      let start = (tuned * layerBasis.rowCount + vector) * size
      for entry in 0..<size { sum[entry] += weight * Double(core[start + entry]) }
    }
    return Matrix(sum.map { Float($0) }, rows: rows, columns: columns)
  }

  func residual(of slice: Slice, _ index: Int, threadCount: Int) -> Double {
    let core = coreSlice(index)
    core.view.scale(by: factor)
    let leftPart = product(left.matrix.view.transposed, core.view)
    return JointDecomposition.residual(
      of: slice, minus: leftPart, times: right.matrix, threadCount: threadCount)
  }
}

extension StackTucker {
  /// Collective: the exact residual of what is stored, beside separate SVDs if asked; one read.
  public func certificate(on stack: SliceStack, comparesSeparateSVDs: Bool) throws -> StackCertificate {
    try StackCertificate(self, of: stack, comparesSeparateSVDs: comparesSeparateSVDs)
  }
}
