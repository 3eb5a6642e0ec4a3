public import Adapters
internal import Checkpoints
internal import Foundation
internal import WeightSources

/// Writes a model with some layers of a fine-tune of it, tensor by tensor, on one rank.
public struct GraftJob: RewritingJob {
  private let request: GraftRequest
  private let versionText: String

  /// A job for a request; an interrupted one is carried on by the same version only.
  public init(_ request: GraftRequest, version: String) {
    self.request = request
    versionText = version
  }

  /// Copies the layers into the model.
  public func run(
    into folder: OutputFolder, notify: @escaping @Sendable (String) -> Void,
    onProgress: (RewritingProgress) -> Void
  ) throws -> RewritingReport {
    let base = try Checkpoint.open(request.basePath)
    let tuned = try Checkpoint.open(request.tunedPath)
    let grafted = try graftedTensors(base, tuned)
    let rewriting = try rewriting(base, tuned)
    let reader = DeltaReader()
    return try rewriting.run(into: folder, notify: notify, onProgress: onProgress) {
      try grafted[$0.name].map(reader.readBytes)
    }
  }

  /// What changed in the model that it has made.
  public func completedSummary(at path: String) -> String? {
    try? rewriting(.open(request.basePath), .open(request.tunedPath)).completedSummary(at: path)
  }

  private func rewriting(_ base: Checkpoint, _ tuned: Checkpoint) throws -> ModelRewriting {
    ModelRewriting(
      model: base, shardSize: request.shardSize, otherInputs: try tuned.inputFiles(),
      options: [("version", versionText), ("result", "a grafted model")] + request.optionRows)
  }

  /// The fine-tune's tensors of the chosen layers, by name.
  private func graftedTensors(_ base: Checkpoint, _ tuned: Checkpoint) throws -> [String: TensorLocation] {
    try checkSameArchitecture()
    let layers = Set((base.sortedNames + tuned.sortedNames).compactMap { LayerPlace(module: $0).layer })
    guard let last = layers.max(), let largest = request.layers.largestNamed else {
      throw GraftError.noLayers(path: base.path)
    }
    guard largest <= last else { throw GraftError.noSuchLayer(path: base.path, layer: largest, last: last) }
    var grafted: [String: TensorLocation] = [:]
    for name in Set(base.sortedNames).union(tuned.sortedNames).sorted() {
      guard let layer = LayerPlace(module: name).layer, request.layers.contains(layer) else { continue }
      guard let old = base.tensors[name], let new = tuned.tensors[name] else {
        throw GraftError.onlyInOne(
          tensor: name, path: base.tensors[name] == nil ? tuned.path : base.path)
      }
      guard old.shape == new.shape, old.elementType == new.elementType else {
        throw GraftError.different(
          tensor: name, base: old.shape, baseType: old.elementType, tuned: new.shape,
          tunedType: new.elementType)
      }
      grafted[name] = new
    }
    return grafted
  }

  private func checkSameArchitecture() throws {
    guard let base = try ModelConfiguration.read(modelPath: request.basePath),
      let tuned = try ModelConfiguration.read(modelPath: request.tunedPath)
    else { return }
    let pairs = [
      ("model_type", base.modelType, tuned.modelType),
      ("architectures", base.architectures.first, tuned.architectures.first),
      ("hidden_size", base.hiddenSize.map { "\($0)" }, tuned.hiddenSize.map { "\($0)" }),
    ]
    for (field, old, new) in pairs where old != new {
      throw GraftError.otherArchitecture(
        base: request.basePath, tuned: request.tunedPath, field: field, baseValue: old ?? "nothing",
        tunedValue: new ?? "nothing")
    }
  }
}

/// What a person asked for of a graft.
public struct GraftRequest: Sendable {
  /// The model whose layers stay.
  public var basePath: String
  /// The model that gives layers.
  public var tunedPath: String
  /// Their numbers, from 0.
  public var layers: TripletNumbers
  /// The greatest number of bytes of tensors in a file; nil keeps the base model's files.
  public var shardSize: Int?

  /// A request of given parts.
  public init(basePath: String, tunedPath: String, layers: TripletNumbers, shardSize: Int? = nil) {
    self.basePath = basePath
    self.tunedPath = tunedPath
    self.layers = layers
    self.shardSize = shardSize
  }

  fileprivate var optionRows: [(name: String, value: String)] {
    [("BASE", basePath), ("TUNED", tunedPath), ("--layers", layers.text)]
      + (shardSize.map { [("--shard-size", "\($0)")] } ?? [])
  }
}
