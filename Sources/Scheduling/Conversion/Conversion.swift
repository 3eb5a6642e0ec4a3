public import Adapters
public import Checkpoints
internal import Foundation
internal import Initialisations

/// What was trained on an initialisation, turned into what needs no initialisation: a plain adapter, or a model.
public struct Conversion {
  private let request: ConversionRequest
  private let versionText: String

  /// A conversion as asked for; an interrupted one is carried on by the same version only.
  public init(_ request: ConversionRequest, version: String) {
    self.request = request
    versionText = version
  }

  /// Fills a folder and publishes it, on one rank.
  ///
  /// - Parameters:
  ///   - folder: The output.
  ///   - notify: Called with sentences for a person.
  /// - Returns: The line a person wants to read at the end.
  /// - Throws: What is wrong with the inputs, or what the device has against the output; the folder is then not
  ///   published.
  public func run(into folder: OutputFolder, notify: @escaping @Sendable (String) -> Void) throws -> String {
    if let record = request.decomposedModel {
      return try DecomposedModelMerge(request, record)
        .run(into: folder, version: versionText, notify: notify)
    }
    return try folder.publishing {
      try writeAdapter(to: folder.contentsPath, InitialisationRecord.read(folder: request.originPath))
    }
  }

  /// What to say of a model's folder that this very job has completed; nil if it holds anything else.
  public func completedSummary(at path: String) -> String? {
    request.decomposedModel.flatMap {
      try? DecomposedModelMerge(request, $0).completedSummary(at: path, version: versionText)
    }
  }

  private func writeAdapter(to path: String, _ record: InitialisationRecord?) throws -> String {
    guard record != nil || hasAdapter(request.originPath) else {
      throw ConversionError.noOrigin(path: request.originPath)
    }
    // The initial adapter alone says nothing of its method, but what was trained does.
    let trainsMappings =
      try hasAdapter(request.trainedPath)
      && !PEFTAdapter.open(request.trainedPath).latentMappings.isEmpty
    if record.map({ $0.method == .loraXS }) ?? trainsMappings {
      return try LatentConversion(request, record).write(to: path)
    }
    return try ResidualConversion(request, record).write(to: path)
  }
}

/// Whether a folder is a PEFT adapter's.
func hasAdapter(_ path: String) -> Bool {
  FileManager.default.fileExists(atPath: path + "/adapter_config.json")
}

/// What a person asked for of a conversion.
public struct ConversionRequest: Sendable {
  /// What was trained: an adapter's folder, or the tensors of svd-training.
  public var trainedPath: String
  /// The folder that the initialisation made, or the initial adapter's.
  public var originPath: String
  /// The original model; nil for the one that the initialisation was made from.
  public var modelPath: String?
  /// The rank to cut to; nil for all.
  public var rank: Int?
  /// The type of the factors; nil for one that holds them as they are.
  public var factorType: FactorType?
  /// What the adapter calls its base model; nil for the original model's path.
  public var baseName: String?

  /// A request of given parts.
  /// - Throws: `RequestError` for a rank below 1.
  public init(
    trainedPath: String, originPath: String, modelPath: String? = nil, rank: Int? = nil,
    factorType: FactorType? = nil, baseName: String? = nil
  ) throws {
    if let rank, rank < 1 { throw RequestError.rankNotPositive(rank) }
    self.trainedPath = trainedPath
    self.originPath = originPath
    self.modelPath = modelPath
    self.rank = rank
    self.factorType = factorType
    self.baseName = baseName
  }

  /// Whether a model is written, file by file, instead of an adapter.
  public var makesModel: Bool { decomposedModel != nil }

  /// The initialisation of a model that was trained in parts; nil if an adapter was trained.
  fileprivate var decomposedModel: InitialisationRecord? {
    let record = InitialisationRecord.read(folder: originPath)
    return record?.method == .svdTraining ? record : nil
  }

  /// The original model's name in an adapter's configuration.
  func baseModel(_ record: InitialisationRecord?, _ fallback: String?) -> String {
    let path = (modelPath ?? record?.model).map { URL(fileURLWithPath: $0).standardizedFileURL.path }
    return baseName ?? path ?? fallback ?? ""
  }
}

/// Why something that was trained cannot be converted.
public enum ConversionError: Error, CustomStringConvertible, Equatable, ExitCoded {
  /// The folder is neither an initialisation nor an adapter.
  case noOrigin(path: String)
  /// A trained module is not in the initial adapter.
  case notInitialised(path: String, module: String, initialPath: String)
  /// An initialised module is not in the trained adapter.
  case notTrained(path: String, module: String, initialPath: String)
  /// The products of both adapters are scaled differently.
  case otherScale(path: String, module: String, scale: Double, initialScale: Double)
  /// The factors of both adapters have other lengths.
  case otherShape(path: String, module: String, shape: [Int], initialShape: [Int])
  /// LoRA-XS's adapter lacks what was trained.
  case noMapping(path: String, module: String)
  /// Another method's adapter has what LoRA-XS trains.
  case foreignMapping(path: String, tensor: String)
  /// The original model lacks what was taken out of it.
  case notInModel(path: String, tensor: String, trainedPath: String)
  /// The original model has another shape than what was taken out of it.
  case otherModel(path: String, tensor: String, shape: [Int], expected: [Int])
  /// The original model was changed where it lies.
  case changedModel(path: String, difference: String)
  /// The original model has a type that trained numbers are not written in.
  case unwritableType(path: String, tensor: String, type: ElementType)
  /// svd-training's file has no singular values.
  case noSingularValues(path: String, example: String)
  /// A tensor of svd-training has another shape than its module's others ask for.
  case otherTensorShape(path: String, tensor: String, shape: [Int], expected: [Int])
  /// An option that the conversion does not have.
  case foreignOption(String, method: String)

  /// The code this error ends a command with.
  public var exitCode: ExitCode {
    if case .foreignOption = self { .usage } else { .badInput }
  }

  /// One sentence with the place, what was found and the remedy.
  public var description: String {
    switch self {
    case .noOrigin(let path):
      "\(path): has neither \(InitialisationRecord.fileName) nor adapter_config.json; give the folder that 'unbraid init' "
        + "made, or the adapter as it was before training"
    case .notInitialised(let path, let module, let initialPath):
      "\(path): module '\(module)' is not in \(initialPath), so nobody knows what it was before; give the initialisation "
        + "that was trained"
    case .notTrained(let path, let module, let initialPath):
      "\(path): has no module '\(module)', which \(initialPath) took out of the model; give the adapter that was trained "
        + "from it"
    case .otherScale(let path, let module, let scale, let initialScale):
      "\(path): module '\(module)' is scaled by \(scale), but began with \(initialScale); set r and lora_alpha to what "
        + "they were"
    case .otherShape(let path, let module, let shape, let initialShape):
      "\(path): module '\(module)' is \(shape) (out, in), but began as \(initialShape); give the initialisation that was "
        + "trained"
    case .noMapping(let path, let module):
      "\(path): module '\(module)' has no '\(module)\(LatentMapping.ending)'; save the adapter with LoRA-XS's own code"
    case .foreignMapping(let path, let tensor):
      "\(path): holds '\(tensor)', which LoRA-XS trains, and the initialisation is another's; give the one that was "
        + "trained"
    case .notInModel(let path, let tensor, let trainedPath):
      "\(path): has no tensor '\(tensor)', which \(trainedPath) was trained on; give the original model with --model"
    case .otherModel(let path, let tensor, let shape, let expected):
      "\(path): tensor '\(tensor)' is \(shape), but was \(expected) when init ran; give the original model with --model"
    case .changedModel(let path, let difference):
      "\(path): \(difference), when init read the model; give the original model with --model, or this one if it is meant"
    case .unwritableType(let path, let tensor, let type):
      "\(path): tensor '\(tensor)' is stored as \(type.rawValue), and what was trained is written as F32, F16 and BF16; "
        + "convert the model to one of these"
    case .noSingularValues(let path, let example):
      "\(path): has no tensor '\(example)'; save the state of the decomposed model, before its merge()"
    case .otherTensorShape(let path, let tensor, let shape, let expected):
      "\(path): tensor '\(tensor)' is \(shape), but must be \(expected); give the initialisation that was trained"
    case .foreignOption(let option, let method):
      "\(option) has no meaning for what was trained with \(method); leave it out"
    }
  }
}
