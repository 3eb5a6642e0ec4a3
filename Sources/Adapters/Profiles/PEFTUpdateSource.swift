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
    updates = adapter.modules.map {
      AdapterUpdate(
        path: $0.path, isEmbedding: $0.isEmbedding, expert: $0.expert, rank: $0.rank,
        inputCount: $0.inputCount, outputCount: $0.outputCount, scale: $0.scale)
    }
  }

  /// What the configuration says about the factors.
  public var settings: StoredPEFTConfiguration { adapter.configuration }

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
