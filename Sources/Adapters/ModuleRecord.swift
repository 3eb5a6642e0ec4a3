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

  /// The record of an adapter's module that was made of stored triplets.
  ///
  /// Its loss is that against the same triplets of the exact SVD (`selecting` says why it is bounded so).
  ///
  /// - Parameters:
  ///   - module: As it was decomposed.
  ///   - stored: All its singular values.
  ///   - kept: The numbers of those that the adapter has, ascending.
  ///   - wanted: What these were made.
  ///   - requestedRank: The triplets asked for.
  ///   - factors: The factors; nil for none.
  ///   - seconds: What it took.
  package init(
    _ module: DecomposedModule, stored: [Double], kept: [Int], wanted: [Double], requestedRank: Int,
    factors: LoRAFactors?, seconds: Double
  ) {
    self.module = module.module
    role = module.role
    shape = module.shape
    rank = kept.count
    self.requestedRank = requestedRank
    method = module.method
    passes = module.passes
    norm = module.norm
    let energies = stored.map { $0 * $0 }
    let all = energies.reversed().reduce(0, +)
    let captured = kept.reversed().reduce(0) { $0 + energies[$1] }
    let changed = zip(kept, wanted).reduce(0) { $0 + (stored[$1.0] - $1.1) * (stored[$1.0] - $1.1) }
    residual = (module.residual * module.residual + max(0, all - captured) + changed).squareRoot()
    writtenResidual = factors?.residualEnergy.squareRoot() ?? module.norm
    estimatedLoss = captured > 0 ? min(1, module.estimatedLoss * all / captured) : 0
    isConverged = module.isConverged
    singularValues = wanted
    self.seconds = seconds
    readSeconds = 0
    bytesRead = 4 * kept.count * (module.outputCount + module.inputCount)
    mpiRank = 0
    rankCount = 1
  }

  /// ‖Δ‖_F².
  public var energy: Double { norm * norm }
  /// 1 − ‖Δ − B·A‖² / ‖Δ‖² of the factors as written.
  public var energyKept: Double { norm > 0 ? 1 - (writtenResidual / norm) * (writtenResidual / norm) : 1 }
}

/// What is known about one tensor that was not decomposed.
public struct LeftOutRecord: Sendable, Codable, Equatable {
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

extension [ModuleRecord] {
  /// ‖Δ‖² over all modules.
  public var energy: Double { reduce(0) { $0 + $1.energy } }
  /// Share of that energy in the factors as written.
  public var energyKept: Double {
    let left = reduce(0) { $0 + $1.writtenResidual * $1.writtenResidual }
    return energy > 0 ? 1 - left / energy : 1
  }
  /// Modules with factors.
  public var adaptedCount: Int { filter { $0.rank > 0 }.count }
  /// The module that keeps the least of its energy.
  public var worst: ModuleRecord? { filter { $0.rank > 0 }.min { $0.energyKept < $1.energyKept } }
}
