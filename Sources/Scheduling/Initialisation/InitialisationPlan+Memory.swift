internal import Adapters
internal import Checkpoints
public import Initialisations
internal import LinearAlgebra

extension InitialisationPlan {
  /// Sees that a rank can hold its dearest module, and the next one that it reads meanwhile: no ranks share one.
  ///
  /// - Throws: `InitialisationError.outOfMemory` with both numbers.
  public func checkMemory(_ resources: JobResources) throws(InitialisationError) {
    let ahead = modules.map(\.readBytes).max() ?? 0
    for module in modules {
      let needed = ModuleCost.processBytes + ahead + module.readBytes + workspaceBytes(of: module)
      guard needed <= resources.memoryPerRank else {
        throw .outOfMemory(module: module.name, neededBytes: needed, allowedBytes: resources.memoryPerRank)
      }
    }
  }

  /// Bytes besides what was read, while the module is decomposed or its residual taken, whichever is more.
  private func workspaceBytes(of module: Module) -> Int {
    let (out, `in`) = (module.layout.outputCount, module.layout.inputCount)
    let short = min(out, `in`)
    let entries = out * `in`
    // In double precision, narrowed, and its bytes; beside them the factors in all their forms.
    let residual = 16 * entries + 40 * module.rank * (out + `in`)
    return max(residual, decompositionBytes(module, entries: entries, sides: (out, `in`), short: short))
  }

  private func decompositionBytes(
    _ module: Module, entries: Int, sides: (out: Int, in: Int), short: Int
  ) -> Int {
    // The matrix, LAPACK's copy, both sets of vectors, and LAPACK's own work.
    let full = 16 * entries + 8 * short * (2 * sides.out + sides.in) + 20 * short * short
    switch request.method {
    case .pissa, .loraXS, .svdTraining:
      let price = ModuleCost(
        rows: module.weight.shape[0], columns: module.weight.shape[1], rank: module.rank,
        method: DecompositionMethod(request.svd), byteCount: 0)
      return price.workspaceBytes + 24 * module.rank * (sides.out + sides.in)
    case .olora: return 8 * entries + 16 * module.rank * (sides.out + sides.in)
    case .milora: return full
    case .corda: return full + 8 * entries + 24 * sides.in * sides.in
    }
  }
}

extension InitialisationPlan.Module {
  /// Bytes of the weight, and of the covariance, in single precision.
  fileprivate var readBytes: Int {
    4 * (weight.elementCount + (covariance?.elementCount ?? 0))
  }
}
