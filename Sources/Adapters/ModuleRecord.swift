public import LinearAlgebra
public import WeightSources

/// What is known about one decomposed module: one record of `report.json`, one row of the model card.
public struct ModuleRecord: Sendable, Codable {
  /// The module's path in the checkpoint.
  public var module: String
  /// Linear, embedding or head.
  public var role: ModuleRole
  /// The stored matrix's rows and columns.
  public var shape: [Int]
  /// Triplets kept; 0 for a module that did not change.
  public var rank: Int
  /// Triplets asked for, at most min(rows, columns).
  public var requestedRank: Int
  /// The method that ran.
  public var method: DecompositionMethod
  /// Times the difference was read by a product.
  public var passes: Int
  /// ‖Δ‖_F.
  public var norm: Double
  /// ‖Δ − UΣVᵀ‖_F before the factors were rounded.
  public var residual: Double
  /// ‖Δ − B·A‖_F of the factors as written.
  public var writtenResidual: Double
  /// Estimated 1 − captured/optimal energy against the best rank k.
  public var estimatedLoss: Double
  /// Whether that estimate met the tolerance.
  public var isConverged: Bool
  /// σ of the triplets kept, descending.
  public var singularValues: [Double]
  /// Seconds of decomposition.
  public var seconds: Double
  /// Seconds of reading and subtracting.
  public var readSeconds: Double
  /// Bytes read from both checkpoints.
  public var bytesRead: Int
  /// The MPI rank that did it, or the first of those that did it together.
  public var mpiRank: Int
  /// How many ranks did it together.
  public var rankCount: Int

  /// A record of a decomposition; `writtenResidual` of a module without factors is its norm.
  ///
  /// `method` is given where all ranks together made the SVD.
  public init(
    module: ModuleSelection.SelectedModule, requestedRank: Int, report: TruncatedSVD.Report,
    singularValues: [Double], writtenResidual: Double, seconds: Double, readSeconds: Double, mpiRank: Int,
    rankCount: Int, method: DecompositionMethod? = nil
  ) {
    self.module = module.name
    role = module.role
    shape = module.pair.shape
    rank = singularValues.count
    self.requestedRank = requestedRank
    self.method = method ?? DecompositionMethod(report.method)
    passes = report.passes
    norm = report.energy.squareRoot()
    residual = report.residualEnergy.squareRoot()
    self.writtenResidual = writtenResidual
    estimatedLoss = report.estimatedLoss
    isConverged = report.isConverged
    self.singularValues = singularValues
    self.seconds = seconds
    self.readSeconds = readSeconds
    bytesRead = module.pair.byteCount
    self.mpiRank = mpiRank
    self.rankCount = rankCount
  }

  /// ‖Δ‖_F².
  public var energy: Double { norm * norm }
  /// 1 − ‖Δ − B·A‖² / ‖Δ‖² of the factors as written.
  public var energyKept: Double { norm > 0 ? 1 - (writtenResidual / norm) * (writtenResidual / norm) : 1 }
}

/// What is known about one tensor that was not decomposed.
public struct LeftOutRecord: Sendable, Codable {
  /// The tensor's name in the checkpoint.
  public var tensor: String
  /// Its dimensions.
  public var shape: [Int]
  /// What it is to the model.
  public var role: ModuleRole
  /// Why it was not decomposed.
  public var reason: ModuleSelection.Reason
  /// How much it changed; nil where that was not measured.
  public var difference: DifferenceMeasure?

  /// A record of a left-out pair.
  public init(_ leftOut: ModuleSelection.LeftOut, difference: DifferenceMeasure?) {
    tensor = leftOut.pair.name
    shape = leftOut.pair.shape
    role = leftOut.role
    reason = leftOut.reason
    self.difference = difference
  }
}
