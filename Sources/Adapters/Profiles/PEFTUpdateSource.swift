public import Foundation
public import Checkpoints
internal import LinearAlgebra
internal import WeightSources

/// The updates of an adapter's folder, whoever made it.
public struct PEFTUpdateSource: UpdateSource {
  /// The adapter's folder.
  public var path: String { adapter.path }
  /// All updates, in the order of their modules' paths.
  public let updates: [AdapterUpdate]
  /// The bytes of its configuration.
  public let configuration: Data
  private let adapter: PEFTAdapter
  private let reader = DeltaReader()

  /// Takes an adapter that was opened.
  ///
  /// - Throws: `CheckpointError` if its configuration cannot be read any more.
  public init(_ adapter: PEFTAdapter) throws {
    self.adapter = adapter
    let file = try RandomAccessFile(path: adapter.configuration.path)
    configuration = Data(try file.bytes(0..<file.size, of: "configuration"))
    let resolver = try adapter.configuration.resolver()
    updates = adapter.modules.map {
      $0.update(adapter.configuration, configuredRank: resolver.rank(of: $0.path))
    }
  }

  /// Tensors that are no factors.
  public var otherTensors: [TensorLocation] {
    adapter.saved.map(\.location) + adapter.modules.compactMap(\.bias)
  }

  /// The type that all factors are stored in; nil if there are several, or another one.
  public var factorType: FactorType? {
    let types = Set(adapter.modules.flatMap { [$0.a.elementType, $0.b.elementType] })
    return types.count == 1 ? FactorType.allCases.first { types.contains($0.elementType) } : nil
  }

  /// The factors of the update at an index.
  public func factors(at index: Int) throws -> UpdateFactors {
    let factors = try adapter.readFactors(of: adapter.modules[index], with: reader)
    return UpdateFactors(a: factors.a, b: factors.b)
  }
}

extension PEFTAdapter.Module {
  /// The update, with the experts told apart if it is one of a fused parameter.
  fileprivate func update(_ configuration: StoredPEFTConfiguration, configuredRank: Int) -> AdapterUpdate {
    let parameter = fusedParameter(among: configuration.targetParameters)
    let kind: AdapterUpdate.Kind =
      parameter != nil ? .experts(rank / configuredRank) : isEmbedding ? .embedding : .linear
    return AdapterUpdate(
      path: parameter ?? path, tensorPrefix: "base_model.model.\(path)", kind: kind,
      rank: parameter != nil ? configuredRank : rank, inputCount: inputCount, outputCount: outputCount,
      scale: scale)
  }

  /// The path of the parameter that the factors are for, if it is one of `target_parameters`.
  ///
  /// Wrappers of several parameters of a module nest in the order in which the module defines them, the first
  /// innermost, and each but the outermost adds `.base_layer` to the path.
  private func fusedParameter(among targets: [String]) -> String? {
    var owner = path
    var depth = 0
    while owner.hasSuffix(".base_layer") {
      owner.removeLast(".base_layer".count)
      depth += 1
    }
    let names = targets.compactMap { target -> String? in
      let name = String(target.split(separator: ".").last ?? "")
      let whole = "\(owner).\(name)"
      return whole == target || whole.hasSuffix("." + target) ? name : nil
    }
    // Every class that has both defines gate_up_proj first, so it is the inner one.
    let nested = Set(names).sorted { $1 == "gate_up_proj" && $0 != $1 }
    return depth < nested.count ? "\(owner).\(nested[depth])" : nil
  }
}
