internal import Checkpoints
internal import Foundation
internal import LinearAlgebra

/// The updates of an adapter with the factors of fused experts as today's PEFT has them, though an earlier one wrote them.
///
/// Before 0.19.1, A had what is B's today, and the other way round. The length of the residual stream tells of a matrix
/// that is not square, the version in the configuration of one that is.
struct TodaysExperts: UpdateSource {
  let updates: [AdapterUpdate]
  private let source: any UpdateSource
  private let isTurned: [Bool]

  init(_ source: any UpdateSource, model: ConsumerModel?) {
    self.source = source
    let isTurned = source.updates.map { $0.isTurned(source.settings, model) }
    updates = zip(source.updates, isTurned).map { $1 ? $0.turned : $0 }
    self.isTurned = isTurned
  }

  var path: String { source.path }
  var otherTensors: [TensorLocation] { source.otherTensors }
  var factorType: FactorType? { source.factorType }
  var settings: StoredPEFTConfiguration { source.settings }

  /// The configuration, without the version if that is not the order of the factors any more.
  var configuration: Data {
    guard isTurned.contains(true),
      var fields = try? JSONSerialization.jsonObject(with: source.configuration) as? [String: Any],
      fields.removeValue(forKey: "peft_version") != nil,
      let bytes = try? JSONSerialization.data(withJSONObject: fields)
    else { return source.configuration }
    return bytes
  }

  func factors(at index: Int) throws -> UpdateFactors {
    let factors = try source.factors(at: index)
    guard isTurned[index] else { return factors }
    return UpdateFactors(a: factors.b.matrix.transposed(), b: factors.a.matrix.transposed())
  }
}

extension AdapterUpdate {
  fileprivate var turned: AdapterUpdate {
    AdapterUpdate(
      path: path, expert: expert, rank: rank, inputCount: outputCount, outputCount: inputCount, scale: scale)
  }

  /// Whether today's PEFT has the factors of this update the other way round; false if that cannot be told.
  fileprivate func isTurned(_ settings: StoredPEFTConfiguration, _ model: ConsumerModel?) -> Bool {
    guard let model, let hidden = model.hiddenSize,
      let residual = expert?.residualStream(in: self), let other = expert?.residualStream(in: turned)
    else { return false }
    guard residual != other else {
      return settings.turnsExperts(ofModelType: model.modelType)
    }
    let takesInputs = residual == hidden
    guard takesInputs || other == hidden else { return false }
    return takesInputs == outputsFirst.contains(model.modelType ?? "")
  }
}

/// Families whose classes have experts × in × out and do not say so: to PEFT what goes in comes out.
private let outputsFirst: Set = ["llama4", "llama4_text"]
