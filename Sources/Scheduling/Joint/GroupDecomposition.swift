internal import Adapters
internal import Foundation
internal import JointDecomposition
internal import LinearAlgebra

/// The decomposition of one group over all ranks, by whichever method.
struct GroupDecomposition {
  let plan: JointPlan
  let group: LayerGroup
  let file: String
  let stack: SliceStack

  /// Collective: decomposes the group; nil if nothing in it changed.
  ///
  /// - Parameters:
  ///   - state: Where an interrupted run had come.
  ///   - keep: Called on every rank after each step of an iteration that can be carried on.
  /// - Returns: On rank 0 all of the result; on other ranks something.
  /// - Throws: What is wrong with a slice, or a stop that was asked for.
  func run(from state: CoupledSubspaces?, keep: (CoupledSubspaces) throws -> Void) throws -> JointGroupResult?
  {
    switch plan.request.method {
    case .tucker: try tucker(from: state, keep: keep)
    case .cp: try cp(from: state, keep: keep)
    case .shared: try shared()
    }
  }

  private var compares: Bool { plan.request.comparesSeparateSVDs }

  private func tucker(from state: CoupledSubspaces?, keep: (CoupledSubspaces) throws -> Void) throws
    -> JointGroupResult?
  {
    let size: StackTucker.Options.Size
    switch plan.request.size {
    case .ranks: size = .ranks(left: group.outRank ?? 1, right: group.inRank ?? 1)
    case .tolerance(let tolerance): size = .tolerance(tolerance)
    }
    let options = StackTucker.Options(
      size, layerRank: group.layerRank, stepLimit: plan.request.stepLimit)
    guard let tucker = try StackTucker(stack, options, from: state, keep: keep) else { return nil }
    let certificate = try tucker.certificate(on: stack, comparesSeparateSVDs: compares)
    var record = record(
      certificate, captured: tucker.report.capturedEnergies, isConverged: tucker.report.isConverged)
    record.outRank = tucker.left.rowCount
    record.inRank = tucker.right.rowCount
    record.layerRank = tucker.layerBasis?.rowCount
    let inRank = tucker.right.rowCount
    var tensors = [
      ("out_basis", columns(tucker.left)), ("in_basis", columns(tucker.right)),
      (
        "core",
        JointFolder.Tensor(
          SharedMatrix(Matrix(tucker.core, rows: tucker.core.count / inRank, columns: inRank)),
          shape: tucker.coreShape)
      ),
    ]
    if let layers = tucker.layerBasis { tensors.append(("layer_basis", columns(layers))) }
    return JointGroupResult(record: record, tensors: tensors, seconds: 0)
  }

  private func cp(from state: CoupledSubspaces?, keep: (CoupledSubspaces) throws -> Void) throws
    -> JointGroupResult?
  {
    var options = StackCP.Options(rank: group.outRank ?? 1)
    options.startCount = plan.request.startCount
    options.stepLimit = plan.request.stepLimit
    guard let cp = try StackCP(stack, options, from: state, keep: keep) else { return nil }
    let certificate = try cp.certificate(on: stack, comparesSeparateSVDs: compares)
    var record = record(
      certificate, captured: cp.report.capturedEnergies,
      isConverged: cp.report.notes.isEmpty && !cp.report.isDegenerate)
    record.componentCount = cp.rank
    record.components = components(cp, energy: certificate.energy)
    let names = (group.pairs.count > 1 ? ["tuned"] : []) + ["layer", "out", "in"]
    let weights = JointFolder.Tensor(
      SharedMatrix(Matrix(cp.weights.map { Float($0) }, rows: 1, columns: cp.rank)), shape: [cp.rank])
    let tensors = zip(names, cp.factors).map { ($0, columns($1)) } + [("weights", weights)]
    return JointGroupResult(record: record, tensors: tensors, seconds: 0)
  }

  private func components(_ cp: StackCP, energy: Double) -> JointGroupRecord.Components {
    let report = cp.report
    let tuned = group.pairs.count > 1 ? cp.factors[0] : nil
    return JointGroupRecord.Components(
      energyShares: cp.weights.map { $0 * $0 / energy },
      tunedUse: tuned.map { use in
        (0..<cp.rank).map { component in (0..<use.columnCount).map { Double(use.matrix[component, $0]) } }
      } ?? [],
      startErrors: report.startErrors, matchOfBestTwo: report.matchOfBestTwo,
      coreConsistency: report.coreConsistency, sweepErrors: report.sweepErrors,
      weightRatio: report.weightRatio,
      mostAlike: report.mostAlike.map { [$0.first, $0.second] } ?? [],
      largestCongruence: report.mostAlike?.congruence ?? 0, isDegenerate: report.isDegenerate,
      notes: report.notes)
  }

  private func shared() throws -> JointGroupResult? {
    let side: SharedBasis.Side = group.side == .out ? .out : .in
    let rank = group.outRank ?? 1
    guard let shared = try SharedBasis(stack, side: side, rank: rank, tolerance: 1e-3) else { return nil }
    let certificate = try shared.certificate(on: stack, comparesSeparateSVDs: compares)
    var record = record(
      certificate, captured: shared.report.capturedEnergies, isConverged: shared.report.isConverged)
    if side == .out { record.outRank = rank } else { record.inRank = rank }
    let basis = (side == .out ? "out_basis" : "in_basis", columns(shared.basis))
    guard stack.isOnFirstRank else { return JointGroupResult(record: record, tensors: [basis], seconds: 0) }
    return JointGroupResult(
      record: record, tensors: [basis, ("coefficients", coefficients(shared))], seconds: 0)
  }

  /// The coefficients of all slices, one after the other.
  private func coefficients(_ shared: SharedBasis) -> JointFolder.Tensor {
    let (rows, columns) =
      shared.side == .out
      ? (shared.basis.rowCount, group.shape[1]) : (group.shape[0], shared.basis.rowCount)
    let all = Matrix<Float>(uninitializedRows: stack.sliceCount * rows, columns: columns)
    for index in 0..<stack.sliceCount {
      guard let own = shared.coefficients[index] else {
        preconditionFailure("a slice's coefficients are missing")
      }
      all.view.rows(index * rows..<(index + 1) * rows).copy(from: own.matrix.view)
    }
    return JointFolder.Tensor(SharedMatrix(all), shape: outerShape + [rows, columns])
  }

  private var outerShape: [Int] {
    (group.pairs.count > 1 ? [group.pairs.count] : []) + [group.modules.count]
  }

  private func record(_ certificate: StackCertificate, captured: [Double], isConverged: Bool)
    -> JointGroupRecord
  {
    let kept = zip(certificate.energies, certificate.residuals).map { $0 - $1 }
    let layers = group.modules.count
    return JointGroupRecord(
      name: group.name, file: file, modules: group.modules, shape: group.shape,
      isStoredTransposed: group.isStoredTransposed, tunedCount: group.pairs.count,
      parameterCount: certificate.parameterCount, energies: certificate.energies,
      residuals: certificate.residuals,
      separate: certificate.separate.map {
        .init(
          tripletCount: $0.tripletCount, ranks: $0.ranks, residuals: $0.residuals,
          exhaustedCount: $0.exhaustedCount)
      }, passes: stack.passCount, capturedEnergies: captured, isConverged: isConverged,
      tunedEnergies: group.pairs.indices.map { tuned in
        kept[tuned * layers..<(tuned + 1) * layers].reversed().reduce(0, +)
      })
  }

  /// Vectors that are rows, as the columns of a tensor.
  private func columns(_ vectors: SharedMatrix<Float>) -> JointFolder.Tensor {
    JointFolder.Tensor(
      SharedMatrix(vectors.matrix.transposed()), shape: [vectors.columnCount, vectors.rowCount])
  }
}
