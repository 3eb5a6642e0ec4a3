internal import Adapters
internal import Checkpoints
internal import Initialisations
internal import LinearAlgebra
internal import WeightSources

/// What a rank does for an initialisation: reads a weight, takes the trained part out, rounds it, and subtracts it.
///
/// A unit's result depends on the plan and the model alone, never on the rank or the order.
struct InitialisationWork: UnitWork {
  private let plan: InitialisationPlan
  private let threadCount: Int

  /// What the reading thread hands over.
  final class Loaded: @unchecked Sendable {
    // Handed from one thread to the other through a lock, and never used by both.
    fileprivate var weight: Matrix<Float>?
    fileprivate let covariance: SharedMatrix<Float>?

    fileprivate init(weight: consuming Matrix<Float>?, covariance: SharedMatrix<Float>?) {
      self.weight = weight
      self.covariance = covariance
    }
  }

  init(_ plan: InitialisationPlan, threadCount: Int) {
    self.plan = plan
    self.threadCount = threadCount
  }

  func load(_ unit: Int, group: RankGroup) throws -> Loaded {
    let module = plan.modules[unit]
    let stored = try readMatrix(module.weight)
    return Loaded(
      weight: module.isTransposed ? stored.transposed() : stored,
      covariance: try module.covariance.map { SharedMatrix(try readMatrix($0)) })
  }

  func compute(_ unit: Int, _ loaded: Loaded, group: RankGroup) throws -> [UInt8] {
    guard var weight = loaded.weight.take() else {
      preconditionFailure("a module was read without its weight")
    }
    let module = plan.modules[unit]
    let result =
      plan.request.method == .svdTraining
      ? try decomposed(module, &weight) : try split(module, &weight, loaded.covariance)
    return try result.encoded()
  }

  /// B and A, and the residual or what stands between them.
  private func split(
    _ module: InitialisationPlan.Module, _ weight: inout Matrix<Float>, _ covariance: SharedMatrix<Float>?
  ) throws -> InitialisationResult {
    let type = plan.factorType.elementType
    let factors = try factors(of: module, &weight, covariance)
    let left = try StoredMatrix(factors.left, as: type, module: module.name)
    let right = try StoredMatrix(factors.right, as: type, module: module.name)
    let residual = try ResidualWeight(
      of: weight, minus: left.values, times: right.values, as: module.weight.elementType,
      isTransposed: module.isTransposed, module: module.name)
    let third = plan.request.method == .loraXS ? type.encode(latentMapping(of: module)) : residual.bytes
    return InitialisationResult(
      record: record(module, weight, residual, factors.values, damping: factors.damping),
      tensors: [right.bytes, left.bytes, third])
  }

  private func factors(
    of module: InitialisationPlan.Module, _ weight: inout Matrix<Float>,
    _ covariance: SharedMatrix<Float>?
  ) throws -> FactorPair {
    let options = svdOptions(module)
    switch plan.request.method {
    case .pissa: return try FactorPair(leadingOf: &weight, options: options, threadCount: threadCount)
    case .milora: return try FactorPair(lastOf: weight, rank: module.rank)
    case .olora: return try FactorPair(orthonormalOf: weight, rank: module.rank)
    case .loraXS: return try FactorPair(frozenOf: &weight, options: options, threadCount: threadCount)
    case .corda:
      guard let covariance else { preconditionFailure("a module was read without its covariance") }
      return try FactorPair(
        weightedOf: weight, by: covariance.matrix, mode: plan.request.mode, rank: module.rank,
        module: module.name)
    case .svdTraining: preconditionFailure("svd-training has other tensors")
    }
  }

  /// U, σ, V and the residual.
  private func decomposed(_ module: InitialisationPlan.Module, _ weight: inout Matrix<Float>) throws
    -> InitialisationResult
  {
    let type = plan.factorType.elementType
    let factors = try SVDTrainingFactors(
      of: &weight, options: svdOptions(module), threadCount: threadCount)
    let u = try StoredMatrix(factors.u, as: type, module: module.name)
    let sigma = try StoredMatrix(factors.sigma, as: type, module: module.name)
    let v = try StoredMatrix(factors.v, as: type, module: module.name)
    let product = SVDTrainingFactors.product(u: u.values, sigma: sigma.values, v: v.values)
    let residual = try ResidualWeight(
      of: weight, minus: product.left, times: product.right, as: module.weight.elementType,
      isTransposed: module.isTransposed, module: module.name)
    return InitialisationResult(
      record: record(module, weight, residual, product.values, damping: nil),
      tensors: [u.bytes, sigma.bytes, v.bytes, residual.bytes])
  }

  /// LoRA-XS's R: normal numbers with a standard deviation of 1e-5.
  private func latentMapping(of module: InitialisationPlan.Module) -> Matrix<Double> {
    let random = CounterRandom(seed: plan.request.seed, name: module.name)
    let mapping = Matrix<Double>(normal: random, rows: module.rank, columns: module.rank)
    for row in 0..<module.rank { mapping.view.scaleRow(row, by: 1e-5) }
    return mapping
  }

  private func svdOptions(_ module: InitialisationPlan.Module) -> TruncatedSVD.Options {
    TruncatedSVD.Options(
      rank: module.rank, tolerance: plan.request.tolerance, method: plan.request.svd,
      random: CounterRandom(seed: plan.request.seed, name: module.name))
  }

  private func record(
    _ module: InitialisationPlan.Module, _ weight: borrowing Matrix<Float>, _ residual: ResidualWeight,
    _ values: [Double], damping: Double?
  ) -> InitialisedModule {
    InitialisedModule(
      module: module.name, path: module.layout.path, shape: module.weight.shape,
      isTransposed: module.isTransposed, rank: module.rank,
      energy: weight.sumOfSquares(), productEnergy: residual.productEnergy, values: values, damping: damping)
  }

  private func readMatrix(_ location: TensorLocation) throws -> Matrix<Float> {
    let matrix = location.elementType.decode(
      try location.bytes(), rows: location.shape[0], columns: location.shape[1])
    if let (row, column) = matrix.firstNonFinite() {
      let value = matrix[row, column]
      throw SourceError.notFinite(
        file: location.filePath, tensor: location.name, index: [row, column],
        value: value.isNaN ? "nan" : "\(value)")
    }
    return matrix
  }
}
