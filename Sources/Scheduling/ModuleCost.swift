public import LinearAlgebra
internal import WeightSources

/// What one module takes: the price by which the plan orders and divides the work.
public struct ModuleCost: Sendable, Codable, Equatable {
  /// The method that will run.
  public var method: TruncatedSVD.Method
  /// Floating-point operations, double-precision ones counted twice.
  public var operations: Double
  /// Bytes to read from both checkpoints.
  public var byteCount: Int
  /// Bytes of the difference in single precision.
  public var matrixBytes: Int
  /// Bytes besides the difference while it is decomposed.
  public var workspaceBytes: Int

  /// The price of decomposing one module.
  ///
  /// Krylov is priced at five steps and one product each for the triplets and for the residual; what it
  /// really takes depends on the spectrum.
  public init(rows: Int, columns: Int, rank: Int, method: TruncatedSVD.Method, byteCount: Int) {
    let chosen = method == .auto ? TruncatedSVD.Method.cheapest(for: (rows, columns), rank: rank) : method
    let short = Double(min(rows, columns))
    let long = Double(max(rows, columns))
    let product = 2 * short * long * Double(rank)
    let block = Double(TruncatedSVD.blockLength(rank: rank))
    let steps = 5.0
    switch chosen {
    case .krylov, .auto:
      let basis = min(short, steps * block)
      operations = steps * 4 * short * long * block + 4 * short * basis * basis + 2 * product
      workspaceBytes = Int(basis * (short * 4 + basis * 16) + 3 * block * short * 4)
    case .gram:
      operations = 2 * (long * short * short + 9 * short * short * short) + 2 * product
      workspaceBytes = Int(5 * short * short * 8)
    case .dense:
      operations = 8 * long * short * short + 22 * short * short * short
      workspaceBytes = Int(2 * long * short * 4 + 6 * short * short * 4)
    }
    self.method = chosen
    self.byteCount = byteCount
    matrixBytes = rows * columns * 4
    // Factors in single precision, rounded and encoded, and the panels of products and reads.
    workspaceBytes += rank * (rows + columns) * 16 + (24 << 20)
  }
}
