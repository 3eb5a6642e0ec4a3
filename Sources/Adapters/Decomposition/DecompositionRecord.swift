public import Checkpoints
public import LinearAlgebra
public import WeightSources

/// `decomposition.json` of a decomposition module by module: what was decomposed, how, and what the folder holds.
///
/// All that an adapter needs besides the tensors is in it, so that making one reads no model. The same job writes the
/// same bytes on any number of ranks: times and machines are in `report.json`.
public struct DecompositionRecord: Sendable, Codable, Equatable {
  /// What the folder is, so that other programs and later versions can tell.
  public static let currentFormat = "unbraid decomposition 1"

  /// `currentFormat` of the program that wrote it.
  public var format = Self.currentFormat
  /// The program's version.
  public var version: String
  /// What was decomposed.
  public var source: Source
  /// The base model's folder or file, or that of the one model.
  public var base: String
  /// The fine-tuned model's folder or file; nil if there is one model.
  public var tuned: String?
  /// What adapters call their base model unless told otherwise.
  public var baseName: String
  /// The options as they were resolved, named as on the command line.
  public var options: [JointRecord.Option]
  /// The files of the models, as they were.
  public var inputs: [InputFile]
  /// One a module, by name.
  public var modules: [DecomposedModule]
  /// Vectors of the model that are stored whole if they changed.
  public var vectors: [ModelVector]
  /// What was not decomposed, by name, with how much it changed.
  public var leftOut: [LeftOutRecord]
  /// The type of factors that loses nothing which the models had.
  public var factorType: FactorType
  /// What the model is used for, as PEFT calls it.
  public var taskType: String?
  /// Whether linear layers are stored transposed.
  public var usesConv1D: Bool
  /// The paths of all modules that own a tensor, as PEFT sees them.
  public var allModulePaths: [String]
  /// Sentences: clamped ranks, tensors that only one model has.
  public var notes: [String]

  /// What was decomposed.
  public enum Source: String, Sendable, Codable {
    /// Tuned − base, module by module.
    case difference
    /// The weights of one model.
    case weights
  }

  /// A record of given parts.
  public init(
    version: String, source: Source, base: String, tuned: String?, baseName: String,
    options: [JointRecord.Option], inputs: [InputFile], modules: [DecomposedModule],
    vectors: [ModelVector], leftOut: [LeftOutRecord], factorType: FactorType, taskType: String?,
    usesConv1D: Bool, allModulePaths: [String], notes: [String]
  ) {
    self.version = version
    self.source = source
    self.base = base
    self.tuned = tuned
    self.baseName = baseName
    self.options = options
    self.inputs = inputs
    self.modules = modules
    self.vectors = vectors
    self.leftOut = leftOut
    self.factorType = factorType
    self.taskType = taskType
    self.usesConv1D = usesConv1D
    self.allModulePaths = allModulePaths
    self.notes = notes
  }
}

/// One decomposed module: what it is, and how good its triplets are.
public struct DecomposedModule: Sendable, Codable, Equatable {
  /// The module's path in the checkpoint, which its tensors' names begin with.
  public var module: String
  /// Its path as PEFT sees it.
  public var path: String
  /// Its place among fused experts; nil for a module of its own.
  public var expert: FusedExpert?
  /// Linear, embedding or head.
  public var role: ModuleRole
  /// Which side of the stored matrix is the input; U and Vh are out × k and k × in in any case.
  public var layout: WeightLayout
  /// The stored matrix's rows and columns.
  public var shape: [Int]
  /// Triplets stored; 0 for a module that did not change, which has no tensors.
  public var rank: Int
  /// Triplets asked for, at most min(rows, columns).
  public var requestedRank: Int
  /// The method that ran.
  public var method: DecompositionMethod
  /// Times the matrix was read by a product.
  public var passes: Int
  /// ‖Δ‖_F.
  public var norm: Double
  /// ‖Δ − U·diag(S)·Vh‖_F of the tensors as stored, summed explicitly.
  public var residual: Double
  /// ‖Δ‖_F² − ΣS²: the energy of all singular values that are not stored, if these are exact.
  public var tailEnergy: Double
  /// Estimated 1 − captured/optimal energy against the best rank k.
  public var estimatedLoss: Double
  /// Whether that estimate met the tolerance.
  public var isConverged: Bool
  /// Σ 4^⌊log₂|w|⌋ over the fine-tuned values: 4⁻ᵖ/12 of it is what rounding them to p bits adds to ‖Δ‖_F².
  public var binadeEnergy: Double

  /// What is known of a module whose record and triplets are these.
  package init(_ record: ModuleRecord, _ triplets: ModuleTriplets?, _ place: AdapterLayout.Module) {
    module = record.module
    path = place.path
    expert = place.expert
    role = record.role
    layout = place.layout
    shape = record.shape
    rank = triplets?.rank ?? 0
    requestedRank = record.requestedRank
    method = record.method
    passes = record.passes
    norm = record.norm
    residual = record.writtenResidual
    let captured = (triplets?.values ?? []).reversed().reduce(0) { $0 + $1 * $1 }
    tailEnergy = max(0, record.energy - captured)
    estimatedLoss = record.estimatedLoss
    isConverged = record.isConverged
    binadeEnergy = triplets?.binadeEnergy ?? 0
  }

  /// Features coming out.
  public var outputCount: Int { layout == .outputByInput ? shape[0] : shape[1] }
  /// Features going in.
  public var inputCount: Int { layout == .outputByInput ? shape[1] : shape[0] }
  /// ‖Δ‖_F².
  public var energy: Double { norm * norm }
}

/// A vector of the model, which is stored whole, since no product of factors stands for it.
public struct ModelVector: Sendable, Codable, Equatable {
  /// Its name in the checkpoint, which is its tensor's name here.
  public var tensor: String
  /// The path of its module as PEFT sees it.
  public var modulePath: String
  /// Its name inside the module: `weight` or `bias`.
  public var parameter: String
  /// What its values are.
  public var kind: Kind
  /// The type of its values in the model.
  public var elementType: ElementType
  /// How many they are.
  public var length: Int
  /// Whether the folder holds it: some vector of its module changed.
  public var isStored: Bool

  /// What a vector's values are.
  public enum Kind: String, Sendable, Codable {
    /// Those of the fine-tuned model, as they are there: of a normalisation.
    case tuned
    /// Tuned − base in single precision: of a decomposed module's bias.
    case difference
  }

  /// Describes a vector.
  public init(
    tensor: String, modulePath: String, parameter: String, kind: Kind, elementType: ElementType, length: Int,
    isStored: Bool
  ) {
    self.tensor = tensor
    self.modulePath = modulePath
    self.parameter = parameter
    self.kind = kind
    self.elementType = elementType
    self.length = length
    self.isStored = isStored
  }

  /// A normalisation's tensor as an adapter may store it; its bytes are `DecompositionFolder.bytes(of:)`.
  public var savable: AdapterLayout.SavableTensor {
    AdapterLayout.SavableTensor(
      modulePath: modulePath, parameter: parameter,
      location: TensorLocation(
        name: tensor, elementType: elementType, shape: [length], filePath: "", fileSize: 0, offset: 0,
        byteCount: length * elementType.bitWidth / 8))
  }

  /// The type of its values in a folder: NumPy has no bfloat16, and single precision holds all of its numbers.
  var storedType: ElementType { elementType == .bf16 ? .f32 : elementType }

  /// A folder's bytes of its values.
  package func stored(_ bytes: [UInt8]) -> [UInt8] { converted(bytes, from: elementType, to: storedType) }

  /// The model's bytes of its values.
  func restored(_ bytes: [UInt8]) -> [UInt8] { converted(bytes, from: storedType, to: elementType) }

  private func converted(_ bytes: [UInt8], from old: ElementType, to new: ElementType) -> [UInt8] {
    old == new ? bytes : new.encode(old.decode(bytes, rows: 1, columns: length))
  }
}
