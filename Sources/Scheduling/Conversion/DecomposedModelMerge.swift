internal import Checkpoints
internal import Initialisations
internal import LinearAlgebra
internal import WeightSources

/// The tensors of svd-training after training, put together to a model again.
struct DecomposedModelMerge {
  private let request: ConversionRequest
  private let record: InitialisationRecord
  private let trained: Checkpoint
  private let initial: Checkpoint
  private let model: Checkpoint
  private let modules: [String: InitialisedModule]

  /// Opens what was trained, what it began as, and the original model.
  init(_ request: ConversionRequest, _ record: InitialisationRecord) throws {
    for (option, isGiven) in [
      ("--rank", request.rank != nil), ("--factor-dtype", request.factorType != nil),
      ("--base-name", request.baseName != nil),
    ] where isGiven { throw ConversionError.foreignOption(option, method: "svd-training") }
    self.request = request
    self.record = record
    trained = try Checkpoint.open(request.trainedPath)
    initial = try Checkpoint.open(request.originPath + "/" + SVDTraining.fileName)
    model = try Checkpoint.open(request.modelPath ?? record.model)
    modules = Dictionary(uniqueKeysWithValues: record.modules.map { ($0.module + ".weight", $0) })
    for module in record.modules { try check(module) }
  }

  /// Sees that all parts of a module fit, wherever they come from.
  private func check(_ module: InitialisedModule) throws {
    let names = SVDTraining.tensorNames(ofModule: module.module)
    guard let sigma = trained.tensors[names.sigma] else {
      throw ConversionError.noSingularValues(path: trained.path, example: names.sigma)
    }
    let sides = module.isTransposed ? module.shape.reversed() : module.shape
    let count = sigma.shape.first ?? 0
    let expected = [
      (names.sigma, [count]), (names.u, [sides[0], count]), (names.v, [sides[1], count]),
      (names.weight, module.shape),
    ]
    for (name, shape) in expected {
      guard let tensor = part(name) else { continue }
      guard tensor.shape == shape else {
        throw ConversionError.otherTensorShape(
          path: tensor.filePath, tensor: name, shape: tensor.shape, expected: shape)
      }
      guard tensor.elementType.isReadableAsFloat else {
        throw SourceError.notNumeric(tensor: name, elementType: tensor.elementType)
      }
    }
  }

  /// A tensor as it was trained, or else as it began.
  private func part(_ name: String) -> TensorLocation? { trained.tensors[name] ?? initial.tensors[name] }

  /// Writes the model; returns the line a person wants to read.
  func write(into folder: OutputFolder) throws -> String {
    let report = try rewrite(model, into: folder, shardSize: nil, onProgress: { _ in }) { tensor in
      if let module = modules[tensor.name] { return try merged(module, as: tensor.elementType) }
      guard let other = trained.tensors[tensor.name], other.shape == tensor.shape else { return nil }
      if other.elementType == tensor.elementType { return try other.bytes() }
      return tensor.elementType.encode(try matrix(other))
    }
    return report.summary
  }

  /// W′ + U·diag(σ)·Vᵀ in double precision, rounded once.
  private func merged(_ module: InitialisedModule, as type: ElementType) throws -> [UInt8] {
    let names = SVDTraining.tensorNames(ofModule: module.module)
    guard let u = part(names.u), let sigma = part(names.sigma), let v = part(names.v),
      let weight = part(names.weight)
    else { throw ConversionError.noSingularValues(path: trained.path, example: names.u) }
    let product = SVDTrainingFactors.product(
      u: try matrix(u).widened(), sigma: try matrix(sigma).widened(), v: try matrix(v).widened())
    let stored = try matrix(weight).widened()
    let sum = module.isTransposed ? stored.transposed() : stored
    multiply(product.left.view, product.right.view, into: sum.view, beta: 1)
    return try StoredMatrix(module.isTransposed ? sum.transposed() : sum, as: type, module: module.module)
      .bytes
  }

  private func matrix(_ location: TensorLocation) throws -> Matrix<Float> {
    let columns = location.shape.last ?? 1
    let rows = location.shape.dropLast().reduce(1, *)
    let matrix = location.elementType.decode(try location.bytes(), rows: rows, columns: columns)
    if let place = matrix.firstNonFinite() {
      throw SourceError.notFinite(
        file: location.filePath, tensor: location.name, index: [place.row, place.column],
        value: "\(matrix[place.row, place.column])")
    }
    return matrix
  }
}
