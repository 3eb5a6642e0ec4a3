public import Checkpoints
public import Foundation
public import LinearAlgebra

/// One update of an adapter: scale · B · A.
public struct AdapterUpdate: Sendable, Equatable {
  /// The path of the module as PEFT sees it; of one expert of a fused parameter, `FusedExpert.path`.
  public let path: String
  /// Whether it is the transpose of an embedding table's change.
  public let isEmbedding: Bool
  /// Which expert it is of, if PEFT has the factors of all of them in one pair.
  public let expert: FusedExpert?
  /// The inner dimension.
  public let rank: Int
  /// Columns of A: the inputs; the vocabulary of an embedding.
  public let inputCount: Int
  /// Rows of B: the outputs.
  public let outputCount: Int
  /// What B·A is multiplied by.
  public let scale: Double

  /// Describes an update.
  public init(
    path: String, isEmbedding: Bool = false, expert: FusedExpert? = nil, rank: Int, inputCount: Int,
    outputCount: Int, scale: Double
  ) {
    self.path = path
    self.isEmbedding = isEmbedding
    self.expert = expert
    self.rank = rank
    self.inputCount = inputCount
    self.outputCount = outputCount
    self.scale = scale
  }
}

/// Both factors of one update in single precision.
public struct UpdateFactors: Sendable {
  /// Rank × inputs.
  public let a: SharedMatrix<Float>
  /// Outputs × rank.
  public let b: SharedMatrix<Float>

  /// Takes over two factors.
  public init(a: consuming Matrix<Float>, b: consuming Matrix<Float>) {
    self.a = SharedMatrix(a)
    self.b = SharedMatrix(b)
  }

  /// Two factors that others may hold, too.
  public init(a: SharedMatrix<Float>, b: SharedMatrix<Float>) {
    self.a = a
    self.b = b
  }
}

/// Where the updates of an adapter come from, one at a time.
public protocol UpdateSource {
  /// The adapter's folder, for messages.
  var path: String { get }
  /// All updates.
  var updates: [AdapterUpdate] { get }
  /// Tensors of the adapter that are no factors: modules stored whole, biases, magnitudes of DoRA.
  var otherTensors: [TensorLocation] { get }
  /// The bytes of PEFT's `adapter_config.json`.
  var configuration: Data { get }
  /// What it says about the factors.
  var settings: StoredPEFTConfiguration { get }
  /// The type that all factors are stored in; nil if there are several, or another one.
  var factorType: FactorType? { get }
  /// The factors of the update at an index.
  func factors(at index: Int) throws -> UpdateFactors
}
