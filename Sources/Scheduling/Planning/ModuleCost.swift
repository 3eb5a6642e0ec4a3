public import LinearAlgebra
internal import WeightSources

/// What one module takes: the price by which the plan orders and divides the work.
public struct ModuleCost: Sendable, Codable, Equatable {
  /// The method that will run.
  public var method: DecompositionMethod
  /// Floating-point operations, double-precision ones counted twice.
  public var operations: Double
  /// Bytes to read from both checkpoints.
  public var byteCount: Int
  /// Bytes of the difference in single precision.
  public var matrixBytes: Int
  /// Bytes besides the difference while it is decomposed.
  public var workspaceBytes: Int
  /// The most ranks that can share the module.
  public var largestTeam: Int
  private let shortLength: Int
  private let longLength: Int
  private let rank: Int

  /// The price of decomposing one module.
  ///
  /// Krylov is priced at the steps that a fine-tune's difference takes as a rule and one product each for the
  /// triplets and for the residual; what it really takes depends on the spectrum.
  public init(rows: Int, columns: Int, rank: Int, method: DecompositionMethod, byteCount: Int) {
    let chosen =
      method == .auto
      ? DecompositionMethod(TruncatedSVD.Method.cheapest(for: (rows, columns), rank: rank)) : method
    let short = Double(min(rows, columns))
    let long = Double(max(rows, columns))
    let product = 2 * short * long * Double(rank)
    let block = Double(TruncatedSVD.blockLength(rank: rank))
    let steps = Double(TruncatedSVD.expectedSteps(rank: rank))
    switch chosen {
    case .krylov, .auto:
      let basis = min(short, steps * block)
      operations = steps * 4 * short * long * block + 4 * short * basis * basis + 2 * product
      workspaceBytes = Int(basis * (short * 4 + basis * 16) + 3 * block * short * 4)
    case .gram:
      operations = 2 * (long * short * short + 9 * short * short * short) + 2 * product
      workspaceBytes = Int(8 * short * short * 8)
    case .exact:
      // Without the symmetry of the Gram matrix, whose panels are whole columns.
      operations = 2 * (1.5 * long * short * short + 9 * short * short * short) + 2 * product
      workspaceBytes = Int(4 * short * short * 8)
    case .dense, .scalapack:
      operations = 8 * long * short * short + 22 * short * short * short
      workspaceBytes = Int(2 * long * short * 4 + 6 * short * short * 4)
    }
    self.method = chosen
    self.byteCount = byteCount
    matrixBytes = rows * columns * 4
    // Factors in single precision, rounded and encoded, and the panels of products and reads.
    workspaceBytes += rank * (rows + columns) * 16 + (24 << 20)
    largestTeam = [.krylov, .gram].contains(chosen) ? LongSideUnits(rows: rows, columns: columns).count : 1
    shortLength = min(rows, columns)
    longLength = max(rows, columns)
    self.rank = rank
  }

  /// The price of taking a product of two factors off a difference, which is mostly that of reading it.
  package init(rows: Int, columns: Int, removing rank: Int, byteCount: Int) {
    // A group's sums are few, as those of an iteration without a step.
    method = .krylov
    self.rank = 0
    operations =
      2 * Double(rows) * Double(columns) * Double(rank) + Self.operationsPerByte * Double(byteCount)
    self.byteCount = byteCount
    matrixBytes = rows * columns * 4
    workspaceBytes = rank * (rows + columns) * 16 + (24 << 20)
    largestTeam = LongSideUnits(rows: rows, columns: columns).count
    shortLength = min(rows, columns)
    longLength = max(rows, columns)
  }

  /// What reading a byte and subtracting it costs beside a product's operations.
  private static let operationsPerByte = 50.0

  /// Memory of the process itself, libraries and message buffers included.
  package static let processBytes = 120 << 20

  /// Bytes that each of a team's ranks needs, with as much of another module that it reads ahead.
  public func memory(sharedBy ranks: Int) -> Int {
    memory(sharedBy: ranks, besideShareOf: matrixBytes / ranks)
  }

  /// The same with a share of the next module of so many bytes.
  func memory(sharedBy ranks: Int, besideShareOf nextBytes: Int) -> Int {
    Self.processBytes + matrixBytes / ranks + nextBytes + workspaceBytes
  }

  /// Bytes that each of a team's ranks sends: a block of the shorter side a step, or the Gram matrix, and at the
  /// end the vectors of the longer side and four matrices of the rank's order.
  public func exchangedBytes(sharedBy ranks: Int) -> Int {
    exchangedBytes(sharedBy: ranks, steps: TruncatedSVD.expectedSteps(rank: rank))
  }

  /// The same for a known number of Krylov steps.
  public func exchangedBytes(sharedBy ranks: Int, steps: Int) -> Int {
    guard ranks > 1 else { return 0 }
    let block = TruncatedSVD.blockLength(rank: rank)
    let sums = method == .gram ? 8 * shortLength * shortLength : 4 * steps * block * shortLength
    let payload = sums + 4 * rank * longLength + 3 * 8 * rank * rank + 2 * 8
    // Recursive halving and doubling: 2·(1 − 1/g) of what is summed.
    return 2 * payload * (ranks - 1) / ranks
  }

  /// Messages that each of a team's ranks waits for.
  func exchangeCount(sharedBy ranks: Int) -> Int {
    guard ranks > 1 else { return 0 }
    let sums = (method == .gram ? 1 : TruncatedSVD.expectedSteps(rank: rank)) + 6
    return sums * 2 * ranks.trailingZeroBitCount
  }
}
