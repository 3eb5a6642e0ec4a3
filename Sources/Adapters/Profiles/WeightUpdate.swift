internal import LinearAlgebra

/// The update of one two-dimensional weight of a model: an update of the adapter, or some rows of it.
struct WeightUpdate: Equatable {
  /// The path of the weight's module in a model whose experts are modules of their own.
  let path: String
  let isEmbedding: Bool
  /// The update in the adapter's order.
  let source: Int
  let rank: Int
  let inputCount: Int
  let outputCount: Int
  let scale: Double
  /// The first row of the update's outputs that is meant, where those of gate and up lie one after the other.
  let firstOutput: Int

  /// The whole of an update.
  init(_ update: AdapterUpdate, source: Int) {
    self.init(update, source: source, path: update.path, outputs: 0..<update.outputCount)
  }

  /// Some of an update's outputs.
  init(_ update: AdapterUpdate, source: Int, path: String, outputs: Range<Int>) {
    self.path = path
    isEmbedding = update.isEmbedding
    self.source = source
    rank = update.rank
    inputCount = update.inputCount
    outputCount = outputs.count
    scale = update.scale
    firstOutput = outputs.lowerBound
  }

  /// The factors of this weight, cut out of those of its update; the scale is not in them.
  func factors(of whole: UpdateFactors) -> UpdateFactors {
    guard outputCount < whole.b.rowCount else { return whole }
    let b = Matrix<Float>(uninitializedRows: outputCount, columns: rank)
    b.view.copy(from: whole.b.matrix.view.rows(firstOutput..<firstOutput + outputCount))
    return UpdateFactors(a: whole.a, b: SharedMatrix(b))
  }
}

/// The updates of an adapter as those of two-dimensional weights, fused experts taken apart where that is possible.
struct WeightUpdates {
  let weights: [WeightUpdate]
  /// Parameters whose experts stay fused.
  let undivided: [String]

  init(_ updates: [AdapterUpdate], model: ConsumerModel?) {
    var weights: [WeightUpdate] = []
    var undivided: [String] = []
    for (index, update) in updates.enumerated() {
      let parts = update.weights(source: index, model: model)
      weights += parts
      if parts.isEmpty, let parameter = update.expert?.parameter, undivided.last != parameter {
        undivided.append(parameter)
      }
    }
    self.weights = weights
    self.undivided = undivided
  }
}

extension AdapterUpdate {
  /// The weights that a consumer without fused experts has for it; none if they cannot be told.
  fileprivate func weights(source: Int, model: ConsumerModel?) -> [WeightUpdate] {
    guard let expert else { return [WeightUpdate(self, source: source)] }
    let family = ExpertFamily(modelType: model?.modelType)
    if expert.isRouter {
      // Where experts stay fused, the router stays a parameter too.
      guard let path = family?.router(expert) else { return [] }
      return [WeightUpdate(self, source: source, path: path, outputs: 0..<outputCount)]
    }
    guard let family, let residual = expert.residualStream(in: self), residual == model?.hiddenSize
    else { return [] }
    let modules = family.modules(ofExpert: expert.index, in: expert.parameter)
    let height = outputCount / max(1, modules.count)
    return modules.enumerated().map { part, path in
      WeightUpdate(self, source: source, path: path, outputs: part * height..<(part + 1) * height)
    }
  }
}

extension FusedExpert {
  /// The length of the side of its matrix that is the residual stream's: what goes into gate and up and comes out of down.
  func residualStream(in update: AdapterUpdate) -> Int? {
    if parameter.hasSuffix(".gate_up_proj") { return update.inputCount }
    return parameter.hasSuffix(".down_proj") ? update.outputCount : nil
  }
}
