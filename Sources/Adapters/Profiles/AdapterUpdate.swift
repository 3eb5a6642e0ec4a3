public import Checkpoints
public import Foundation
public import LinearAlgebra

/// One update of an adapter as its file has it: scale · B · A.
public struct AdapterUpdate: Sendable, Equatable {
  /// The path of the module as PEFT sees it; of fused experts, of the parameter: `….mlp.experts.gate_up_proj`.
  public let path: String
  /// What the names of its tensors begin with in PEFT's file: `base_model.model.` and the module's path.
  public let tensorPrefix: String
  /// What the factors stand for.
  public let kind: Kind
  /// The inner dimension, of fused experts that of each.
  public let rank: Int
  /// Columns of A: the inputs; the vocabulary of an embedding.
  public let inputCount: Int
  /// Rows of B: the outputs.
  public let outputCount: Int
  /// What B·A is multiplied by.
  public let scale: Double

  /// What factors stand for.
  public enum Kind: Sendable, Equatable {
    /// Outputs × inputs of a linear layer.
    case linear
    /// The transpose of an embedding table's change.
    case embedding
    /// One matrix an expert: PEFT's `target_parameters` on a three-dimensional parameter.
    ///
    /// Row e·r + k of A is component k of expert e, column k·E + e of B too.
    case experts(Int)
  }

  /// Describes an update.
  public init(
    path: String, tensorPrefix: String, kind: Kind, rank: Int, inputCount: Int, outputCount: Int,
    scale: Double
  ) {
    self.path = path
    self.tensorPrefix = tensorPrefix
    self.kind = kind
    self.rank = rank
    self.inputCount = inputCount
    self.outputCount = outputCount
    self.scale = scale
  }
}

/// Both factors of one update, as stored, in single precision.
public struct UpdateFactors: Sendable {
  /// Rank × inputs; experts below each other.
  public let a: SharedMatrix<Float>
  /// Outputs × rank; experts interleaved.
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
  /// The type that all factors are stored in; nil if there are several, or another one.
  var factorType: FactorType? { get }
  /// The factors of the update at an index.
  func factors(at index: Int) throws -> UpdateFactors
}
