/// What the rules that choose singular values know of a module.
public struct ModuleSpectrum: Sendable {
  /// The module's path in the checkpoint.
  public var module: String
  /// The singular values that are stored, descending.
  public var values: [Double]
  /// Outputs and inputs.
  public var shape: [Int]
  /// ‖Δ‖_F².
  public var energy: Double
  /// Whether there are no others: all are stored, or the rest is zero.
  public var isComplete: Bool
  /// Σ 4^⌊log₂|w|⌋ over the fine-tuned model's values.
  public var binadeEnergy: Double
  /// Modules of one such name are stored with one rank, that of the largest; nil for a module with a rank of its own.
  public var rankSet: String?

  /// A spectrum of given parts.
  public init(
    module: String, values: [Double], shape: [Int], energy: Double, isComplete: Bool, binadeEnergy: Double,
    rankSet: String? = nil
  ) {
    self.rankSet = rankSet
    self.module = module
    self.values = values
    self.shape = shape
    self.isComplete = isComplete
    // Of a whole spectrum the sum itself is the energy that fractions are of, to the last bit.
    self.energy = isComplete ? values.reduce(0) { $0 + $1 * $1 } : energy
    self.binadeEnergy = binadeEnergy
  }

  /// The spectrum of a decomposed module.
  ///
  /// - Parameters:
  ///   - module: As it was decomposed.
  ///   - values: All that is stored of it.
  public init(_ module: DecomposedModule, values: [Double]) {
    self.init(
      module: module.module, values: values, shape: [module.outputCount, module.inputCount],
      energy: module.energy,
      isComplete: module.rank == module.shape.min() || module.rank < module.requestedRank,
      binadeEnergy: module.binadeEnergy, rankSet: AdapterLayout.Module(module, rank: module.rank).rankSet)
  }

  /// The shorter side: how many singular values there are, zeros included.
  public var fullRank: Int { shape.min() ?? 0 }
  /// Numbers that one triplet takes in an adapter.
  public var tripletCost: Int { shape.reduce(0, +) }
}
