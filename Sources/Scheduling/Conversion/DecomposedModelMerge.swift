internal import Adapters
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
  private let reader = DeltaReader()

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
    guard let original = model.tensors[names.weight] else {
      throw ConversionError.notInModel(path: model.path, tensor: names.weight, trainedPath: trained.path)
    }
    guard original.shape == module.shape else {
      throw ConversionError.otherModel(
        path: original.filePath, tensor: original.name, shape: original.shape, expected: module.shape)
    }
    try checkWritable(original)
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

  private func checkWritable(_ original: TensorLocation) throws {
    guard FactorType.allCases.contains(where: { $0.elementType == original.elementType }) else {
      throw ConversionError.unwritableType(
        path: original.filePath, tensor: original.name, type: original.elementType)
    }
  }

  /// A tensor as it was trained, or else as it began.
  private func part(_ name: String) -> TensorLocation? { trained.tensors[name] ?? initial.tensors[name] }

  /// Fills a folder with the model and publishes it; what an interrupted run has finished is not done again.
  ///
  /// - Returns: The line a person wants to read.
  func run(
    into folder: OutputFolder, version: String, notify: @escaping @Sendable (String) -> Void
  ) throws -> String {
    for note in try record.notes(on: model, isGiven: request.modelPath != nil) { notify("note: \(note)") }
    let report = try rewriting(version).run(into: folder, notify: notify) { tensor in
      if let module = modules[tensor.name] { return try merged(module, as: tensor.elementType) }
      return try trained.tensors[tensor.name].map { try converted($0, for: tensor) }
    }
    return report.summary + (unknownNote.map { "; \($0)" } ?? "")
  }

  /// What to say of a folder that this very job has completed; nil if it holds anything else.
  func completedSummary(at path: String, version: String) throws -> String? {
    try rewriting(version).completedSummary(at: path)
  }

  private func rewriting(_ version: String) throws -> ModelRewriting {
    let recordPath = request.originPath + "/" + InitialisationRecord.fileName
    return ModelRewriting(
      model: model,
      otherInputs: try trained.inputFiles() + initial.inputFiles() + [InputFile(path: recordPath)],
      options: [
        ("version", version), ("result", "a converted model"), ("TRAINED", request.trainedPath),
        ("FROM", request.originPath), ("--model", model.path),
      ],
      circumstances: [("BLAS kernels", BLASLibrary.kernels)])
  }

  /// A tensor that was trained whole, in the type of the model's own.
  private func converted(_ tensor: TensorLocation, for original: TensorLocation) throws -> [UInt8] {
    guard tensor.shape == original.shape else {
      throw ConversionError.otherTensorShape(
        path: tensor.filePath, tensor: tensor.name, shape: tensor.shape, expected: original.shape)
    }
    if tensor.elementType == original.elementType { return try tensor.bytes() }
    try checkWritable(original)
    guard tensor.elementType.isReadableAsFloat else {
      throw SourceError.notNumeric(tensor: tensor.name, elementType: tensor.elementType)
    }
    return try StoredMatrix(
      tensor.readFiniteMatrix(with: reader).widened(), as: original.elementType,
      module: modulePath(ofTensor: tensor.name)
    ).bytes
  }

  /// What was trained under names that the model has not, if anything.
  private var unknownNote: String? {
    let parts = record.modules.flatMap { module -> [String] in
      let names = SVDTraining.tensorNames(ofModule: module.module)
      return [names.u, names.sigma, names.v]
    }
    let unknown = Set(trained.tensors.keys).subtracting(model.tensors.keys).subtracting(parts).sorted()
    return unknown.first.map {
      "\(unknown.count) trained tensors that the model has not (such as '\($0)') are left out"
    }
  }

  /// W′ + U·diag(σ)·Vᵀ in double precision, rounded once.
  private func merged(_ module: InitialisedModule, as type: ElementType) throws -> [UInt8] {
    let names = SVDTraining.tensorNames(ofModule: module.module)
    guard let u = part(names.u), let sigma = part(names.sigma), let v = part(names.v),
      let weight = part(names.weight)
    else { throw ConversionError.noSingularValues(path: trained.path, example: names.u) }
    let product = SVDTrainingFactors.product(
      u: try u.readFiniteMatrix(with: reader).widened(),
      sigma: try sigma.readFiniteMatrix(with: reader).widened(),
      v: try v.readFiniteMatrix(with: reader).widened())
    let stored = try weight.readFiniteMatrix(with: reader).widened()
    let sum = module.isTransposed ? stored.transposed() : stored
    multiply(product.left.view, product.right.view, into: sum.view, beta: 1)
    return try StoredMatrix(module.isTransposed ? sum.transposed() : sum, as: type, module: module.module)
      .bytes
  }
}
