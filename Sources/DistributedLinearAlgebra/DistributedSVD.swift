internal import Foundation
public import LinearAlgebra
public import MPI

/// All singular values of a matrix over several ranks, and its leading singular vectors or all of them.
///
/// For A m × n, let s = min(m, n), l = max(m, n), and B = A or Aᵀ so that B is l × s. The ranks hold consecutive
/// rows of B. Steps:
///
/// 1. BᵀB in double precision by panels, dealt out block-cyclically; scaled to norm 1 by a power of four.
/// 2. Its eigenvalues σ² and eigenvectors V by divide and conquer over a process grid (PDSYEVD).
/// 3. The images B·V·Σ⁻¹ in single precision, made orthonormal by block Gram-Schmidt with double-precision
///    coefficients.
///
/// What holds: U and V are orthonormal and ‖A − UΣVᵀ‖ is a small multiple of 6e-8·‖A‖, single precision's
/// rounding. σᵢ is right to 1e-14·σ₁²/σᵢ or 4e-8·σ₁, whichever is less, so to single precision relative to
/// itself down to 1e-3·σ₁, and relative to σ₁ everywhere. Vectors of singular values that are close to each other
/// or below 1e-6·σ₁ are known no better than single-precision entries determine them. The last bits may differ
/// between numbers of ranks.
///
/// A rank needs its slab, k·(s + local length) floats for the result, and 4·s²/p doubles meanwhile.
public struct DistributedSVD: ~Copyable {
  /// All s singular values, descending, the same on every rank.
  public let values: [Double]
  /// Singular vectors of the long side as rows, k × this rank's part: left ones for a tall matrix, right for a
  /// wide one.
  public let longRows: Matrix<Float>
  /// Singular vectors of the short side as rows, k × s, the same on every rank.
  public let shortRows: Matrix<Float>
  /// Whether A is wide, so that its columns are the long side.
  public let isWide: Bool
  /// The long-side index of this rank's first row of B.
  public let firstLongIndex: Int
  /// Singular values above 1e-7·σ₁; what lies below is the rounding of single precision.
  public let numericalRank: Int

  /// The number of triplets with vectors.
  public var rank: Int { shortRows.rowCount }

  /// Below this fraction of σ₁ a singular value has no long-side vector of its own.
  public static let rankThreshold = 1e-7

  /// What is asked for.
  public struct Options: Sendable {
    /// How many leading triplets get vectors, `numericalRank` at most; nil for all s.
    ///
    /// With nil, long-side vectors beyond the numerical rank are random ones orthogonal to the rest.
    public var rank: Int?
    /// The stream random vectors are drawn from.
    public var random: CounterRandom
    /// Rows and columns of a block of the distributed Gram matrix; speed only.
    public var blockLength: Int
    /// Doubles of a panel that a rank holds besides its share of the Gram matrix: 32 MiB.
    package var panelElementCount = 1 << 22
    /// Long-side vectors that are orthonormalised at once; every rank factors a matrix of this order.
    package var vectorPanelLength = 256

    /// Options with the usual values.
    ///
    /// - Parameters:
    ///   - rank: Leading triplets, 1 or more; nil for all.
    ///   - random: A stream that is the same on every rank.
    ///   - blockLength: 1 or more, the same on every rank.
    public init(
      rank: Int? = nil, random: CounterRandom = CounterRandom(seed: 0, name: "exact"), blockLength: Int = 64
    ) {
      self.rank = rank
      self.random = random
      self.blockLength = blockLength
    }
  }

  /// Collective: decomposes a matrix of finite entries.
  ///
  /// - Parameters:
  ///   - slab: This rank's part: consecutive rows of A if A is tall, consecutive columns if it is wide, in the
  ///     order of the ranks. May be empty along the long side, never along the short one. Left unchanged.
  ///   - isWide: Whether A has more columns than rows; either for a square A. The same on every rank.
  ///   - options: The same on every rank.
  ///   - communicator: The ranks that have a part.
  /// - Throws: A `DistributedSVDError`, the same on every rank; an `MPIError` if MPI reports one.
  /// - Complexity: l·s²/p operations for the Gram matrix, about 9·s³/p for its eigenvectors, in double precision;
  ///   4·l·s·k/p for the vectors. s²/2 doubles are added up over the ranks, and k·s for each side.
  public init(
    slab: borrowing Matrix<Float>, isWide: Bool, options: Options = Options(),
    over communicator: borrowing Communicator
  ) throws {
    precondition(options.rank ?? 1 >= 1, "an SVD has rank 1 at least")
    let block = try LongSideSlab(
      slab.view, isWide: isWide, isFinite: slab.firstNonFinite() == nil, over: communicator)
    let order = block.shortLength
    let exponent = block.energy > 0 ? Int(block.energy.squareRoot().exponent) : 0
    let eigen = try Self.eigen(of: block, exponent: exponent, options: options, over: communicator)
    let scaledValues = eigen.values.map { max(0, $0).squareRoot() }
    let threshold = Self.rankThreshold * (scaledValues.first ?? 0)
    let numericalRank = scaledValues.prefix { $0 > threshold }.count
    let rank = options.rank.map { min($0, numericalRank) } ?? order

    let shortRows = try eigen.leadingRows(
      rank, panelElementCount: options.panelElementCount, over: communicator)
    let longRows = Matrix<Float>(uninitializedRows: rank, columns: block.localLength)
    let givenCount = min(rank, numericalRank)
    let given = longRows.view.rows(0..<givenCount)
    block.applyScaled(shortRows.view.rows(0..<givenCount), into: given, exponent: exponent)
    for row in 0..<givenCount { given.scaleRow(row, by: Float(1 / scaledValues[row])) }
    try DistributedOrthonormalizer(slab: block, options: options)
      .orthonormalize(longRows.view, givenCount: givenCount, over: communicator)
    try fixSigns(longRows: longRows.view, shortRows: shortRows.view, of: block, over: communicator)

    values = scaledValues.map { scalbn($0, exponent) }
    self.longRows = longRows
    self.shortRows = shortRows
    self.isWide = isWide
    firstLongIndex = block.firstIndex
    self.numericalRank = numericalRank
  }

  /// Collective: the scaled Gram matrix and its eigenvectors; the grid ends here.
  private static func eigen(
    of slab: LongSideSlab, exponent: Int, options: Options, over communicator: borrowing Communicator
  ) throws -> DistributedEigen {
    let workspace = try ScaLAPACKWorkspace.pdsyevd(
      order: slab.shortLength, blockLength: options.blockLength,
      gridShape: ProcessGrid.shape(forRanks: communicator.size))
    let grid = ProcessGrid(over: communicator)
    let gram = try distributedGram(
      of: slab, exponent: exponent, options: options, grid: grid, over: communicator)
    return try DistributedEigen(lowerTriangle: gram, workspace: workspace, grid: grid, over: communicator)
  }
}
