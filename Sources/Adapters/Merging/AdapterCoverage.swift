public import Checkpoints
public import LinearAlgebra
public import WeightSources

/// Which of a fine-tune's changes an adapter stands for, and which it leaves out.
public struct AdapterCoverage: Sendable {
  /// What the adapter covers: weights with factors, then tensors stored whole, then biases.
  public let covered: [Covered]
  /// Pairs of numbers that it does not touch, by name.
  public let uncovered: [TensorPair]

  /// A tensor of the fine-tune with what the adapter makes of it.
  public struct Covered: Sendable, Codable {
    /// For factors the path of the module in the model, of a fused expert with its number; the tensor's name for others.
    public let name: String
    /// The tensor in both models, or one matrix of it.
    public let pair: TensorPair
    /// What the adapter stores in its place; nil where the base model's tensor stays.
    public let replacement: TensorLocation?
    /// What is added to it.
    public let addition: Addition

    /// What an adapter adds to a tensor.
    public enum Addition: Sendable, Codable {
      /// Nothing: it is stored whole.
      case nothing
      /// The factors of a module, and which rows of the product; nil for all.
      case factors(PEFTAdapter.Module, WeightLayout, part: Range<Int>?)
      /// The change of a module's bias.
      case bias(PEFTAdapter.Module)
    }
  }

  /// Holds an adapter against a pair of models.
  ///
  /// - Throws: `MergeError` if the adapter does not fit the base model, or if a tensor that it changes is missing from
  ///   the fine-tune or has another shape there.
  public init(of adapter: PEFTAdapter, base: Checkpoint, configuration: ModelConfiguration?, pairing: Pairing)
    throws
  {
    let tensors = ChangedTensors(of: adapter, base: base, configuration: configuration, pairing: pairing)
    var replacements: [String: TensorLocation] = [:]
    for saved in adapter.saved {
      replacements[try tensors.model.tensor(replacedBy: saved, in: adapter).name] = saved.location
    }
    var names: Set<String> = []
    func covered(
      _ name: String, _ tensor: TensorLocation, slice: Int? = nil, _ addition: Covered.Addition
    ) throws -> Covered {
      names.insert(tensor.name)
      let (pair, replacement) = (try tensors.pair(tensor), replacements[tensor.name])
      return Covered(
        name: name, pair: slice.map(pair.slice) ?? pair,
        replacement: slice.flatMap { replacement?.slice($0) } ?? replacement, addition: addition)
    }
    let factors = try adapter.modules.flatMap { module in
      try tensors.model.weights(of: module, in: adapter).map { weight in
        let name = weight.part == nil ? module.path : modulePath(ofTensor: weight.tensor.name)
        return try covered(
          name, weight.tensor, slice: weight.slice, .factors(module, weight.layout, part: weight.part))
      }
    }
    let biases = try adapter.modules.compactMap { module in
      try tensors.model.bias(changedBy: module, in: adapter).map { try covered($0.name, $0, .bias(module)) }
    }
    let whole = try replacements.keys.filter { !names.contains($0) }.sorted().compactMap { name in
      try tensors.model.checkpoint.tensors[name].map { try covered(name, $0, .nothing) }
    }
    self.covered = factors + biases + whole
    uncovered = tensors.pairs.filter { !names.contains($0.name) && $0.isNumeric }
  }
}

/// The tensors of a pair of models that an adapter may change.
///
/// A head that the base model ties to its embedding is a tensor of its own as soon as the adapter or the fine-tune tells
/// one from the other: PEFT changes the one module that an adapter names, never the other.
private struct ChangedTensors {
  /// The base model, with such a head under its own name.
  let model: ModelUnderAdapters
  /// Every tensor of both models, by name, then such a head.
  let pairs: [TensorPair]
  private let pairsByName: [String: TensorPair]

  init(of adapter: PEFTAdapter, base: Checkpoint, configuration: ModelConfiguration?, pairing: Pairing) {
    let plain = ModelUnderAdapters(base, configuration: configuration)
    let head = separateHead(adapter, plain, pairing)
    model =
      head.flatMap(\.base).map {
        ModelUnderAdapters(base.repeating($0, as: $0.name), configuration: configuration)
      } ?? plain
    pairs = pairing.pairs + (head.map { [$0] } ?? [])
    pairsByName = Dictionary(uniqueKeysWithValues: pairs.map { ($0.name, $0) })
  }

  /// A tensor of the base model in both models.
  func pair(_ tensor: TensorLocation) throws -> TensorPair {
    guard let pair = pairsByName[tensor.name] else {
      throw MergeError.notInBoth(tensor: tensor.name)
    }
    return pair
  }
}

/// A tied head of the base model as a tensor of its own; nil if there is none, or if it is no other than the table.
private func separateHead(_ adapter: PEFTAdapter, _ base: ModelUnderAdapters, _ pairing: Pairing)
  -> TensorPair?
{
  func isHeadTensor(_ name: String) -> Bool {
    name.hasSuffix(".weight") && isHead(modulePath(ofTensor: name))
  }
  guard let table = base.tiedTable, !base.checkpoint.sortedNames.contains(where: isHeadTensor),
    let tunedTable = pairing.pairs.first(where: { $0.name == table.name })?.tuned
  else { return nil }
  let adapted = adapter.headModule(shape: table.shape)
  let tuned = pairing.onlyInTuned.first { isHeadTensor($0.name) && $0.shape == table.shape }
  guard adapted != nil || tuned != nil || adapter.changes(table, of: base) else { return nil }
  let name = adapted.map { $0 + ".weight" } ?? tuned?.name ?? "lm_head.weight"
  return TensorPair(base: table.renamed(name), tuned: (tuned ?? tunedTable).renamed(name))
}

extension PEFTAdapter {
  /// The path of the head that it has factors for, or stores whole in a shape.
  fileprivate func headModule(shape: [Int]) -> String? {
    modules.first { isHead($0.path) }?.path
      ?? saved.first {
        $0.name.hasSuffix(".weight") && isHead(modulePath(ofTensor: $0.name)) && $0.location.shape == shape
      }.map { modulePath(ofTensor: $0.name) }
  }

  /// Whether it changes a tensor of a model.
  fileprivate func changes(_ tensor: TensorLocation, of model: ModelUnderAdapters) -> Bool {
    (modules.map { $0.path + ".weight" } + saved.map(\.name)).contains { model.tensor($0) == tensor }
  }
}

extension AdapterCoverage.Covered {
  /// The difference that is left to the addition: the fine-tune's values minus what stands in the tensor's place.
  public var rest: TensorPair {
    replacement.map { TensorPair(base: $0, tuned: pair.tuned) } ?? pair
  }

  /// What is added, ready to be subtracted from `rest`; nil for nothing.
  ///
  /// - Parameter reader: Whose open files are used.
  /// - Returns: Two matrices whose product has the shape of the tensor, the scale in one of them.
  /// - Throws: `PEFTAdapterError` or `CheckpointError` if they cannot be read.
  public func readAddition(with reader: DeltaReader) throws -> ScaledProduct? {
    switch addition {
    case .nothing: return nil
    case .factors(let module, let layout, let part):
      return ScaledProduct(try module.readFactors(with: reader), layout, part: part)
    case .bias(let module):
      guard let bias = try module.readBias(with: reader) else { return nil }
      return ScaledProduct(
        left: Matrix(repeating: Float(module.scale), rows: 1, columns: 1), right: bias)
    }
  }
}

/// L·R, in the layout of the tensor it is added to.
public struct ScaledProduct: ~Copyable, Sendable {
  /// Rows × rank.
  public let left: Matrix<Float>
  /// Rank × columns.
  public let right: Matrix<Float>

  init(left: consuming Matrix<Float>, right: consuming Matrix<Float>) {
    self.left = left
    self.right = right
  }

  /// The factors of a module, B on the left or, for weights whose rows are inputs, Aᵀ.
  ///
  /// - Parameters:
  ///   - factors: A and B.
  ///   - layout: Which of them is on the left.
  ///   - part: The rows of the product to take; nil for all.
  public init(_ factors: borrowing ModuleFactors, _ layout: WeightLayout, part: Range<Int>? = nil) {
    let scales = [Float](repeating: Float(factors.scale), count: factors.rank)
    var b = Matrix<Float>(uninitializedRows: factors.b.rowCount, columns: factors.rank)
    factors.b.scaleColumns(by: scales, into: &b)
    switch layout {
    case .outputByInput:
      left = b.rows(part)
      right = factors.a.firstRows(factors.rank)
    case .inputByOutput:
      left = factors.a.transposed().rows(part)
      right = b.transposed()
    }
  }
}

extension Matrix where Element == Float {
  /// A copy of some rows; nil for all.
  fileprivate borrowing func rows(_ range: Range<Int>?) -> Matrix {
    guard let range else { return firstRows(rowCount) }
    let result = Matrix(uninitializedRows: range.count, columns: columnCount)
    result.view.copy(from: view.rows(range))
    return result
  }
}

/// Whether a module of this path is a model's head.
func isHead(_ path: String) -> Bool { ModuleRole(tensor: path + ".weight", shape: [0, 0]) == .head }
