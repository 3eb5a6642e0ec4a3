internal import Adapters
public import Checkpoints
internal import Foundation
internal import LinearAlgebra
public import WeightSources

/// Everything that all ranks need to know to scan a model, made by one rank from the headers alone.
public struct ScanPlan: Sendable, Codable {
  /// What was asked for.
  public let request: ScanRequest
  /// The modules in the order of the results.
  public let modules: [Module]
  /// What else a person should know: weights that are left out, and why.
  public let notes: [String]
  /// The files of the model, as they were when this was made.
  public let inputs: [InputFile]
  /// The modules whose singular values are computed, in the order in which they are given out: the dearest first.
  public let units: [Int]

  /// A module to scan.
  public struct Module: Sendable, Codable, Hashable {
    /// Its path as Transformers has it.
    public let name: String
    /// What it is ranked with.
    public let type: String
    /// Where its weight is, and that of the base if it is a difference that counts.
    public let pair: TensorPair

    /// Rows and columns; a vector is one row, and any other shape is no matrix.
    public var matrixShape: [Int]? {
      switch pair.shape.count {
      case 2 where pair.elementCount > 0: pair.shape
      case 1 where pair.elementCount > 0: [1, pair.shape[0]]
      default: nil
      }
    }
  }

  /// Reads the headers of the model, or of both, and chooses the modules.
  ///
  /// - Throws: `CheckpointError`, `SourceError` or `ScanPlanError` for whatever is wrong with the model or does not
  ///   fit the request.
  public init(_ request: ScanRequest) throws {
    let checkpoint = try Checkpoint.open(request.modelPath)
    let base = try request.base.map { try Checkpoint.open($0.path) }
    let configuration =
      try ModelConfiguration.read(modelPath: request.modelPath)
      ?? request.base.flatMap { try ModelConfiguration.read(modelPath: $0.path) }
    let pairing =
      try base.map {
        try Pairing(
          base: $0, tuned: checkpoint, acceptsMixedTypes: request.base?.acceptsMixedTypes ?? false)
      } ?? Pairing(weightsOf: checkpoint)
    let choice = ScanChoice(pairing, of: checkpoint, configuration)
    self.request = request
    let modules =
      try request.isCompatible ? choice.published(request.types) : choice.grouped(request.types)
    self.modules = modules
    notes = choice.notes
    inputs = try (base?.inputFiles() ?? []) + checkpoint.inputFiles()
    let costs = modules.map(\.operations)
    units = modules.indices.filter { modules[$0].matrixShape != nil }
      .sorted { (costs[$1], $0) < (costs[$0], $1) }
  }

  /// What tells this job from others.
  public func identity(version: String) -> JobIdentity {
    let models =
      request.base.map { [("BASE", $0.path), ("TUNED", request.modelPath)] } ?? [("MODEL", request.modelPath)]
    return JobIdentity(
      options: [("version", version)] + models + [("--name", request.modelName)] + optionRows,
      inputs: inputs, units: units.map { modules[$0].name },
      circumstances: [("BLAS kernels", BLASLibrary.kernels)])
  }

  private var optionRows: [(name: String, value: String)] {
    let types = request.types.isEmpty ? [] : [("--modules", request.types.joined(separator: ","))]
    return types + (request.topPercent.map { [("--top-percent", "\($0)")] } ?? [])
      + (request.isCompatible ? [("--compat", "on")] : [])
      + (request.base?.acceptsMixedTypes ?? false ? [("--mixed-dtypes", "on")] : [])
  }

  /// Each module's read and work.
  public var jobUnits: [JobUnit] {
    units.map { JobUnit(modules[$0].pair, cost: modules[$0].operations) }
  }

  /// Sees that a rank can hold the largest module.
  ///
  /// - Throws: `ScanPlanError.outOfMemory` if it cannot.
  public func checkMemory(_ resources: JobResources) throws(ScanPlanError) {
    for number in units.prefix(1) where modules[number].memoryBytes > resources.memoryPerRank {
      throw .outOfMemory(
        module: modules[number].name, neededBytes: modules[number].memoryBytes,
        allowedBytes: resources.memoryPerRank)
    }
  }
}

extension ScanPlan.Module {
  /// Double-precision operations of a Gram matrix and its eigenvalues.
  var operations: Double {
    guard let shape = matrixShape else { return 0 }
    let (short, long) = (Double(shape.min() ?? 0), Double(shape.max() ?? 0))
    return long * short * short + 4.0 / 3 * short * short * short + Double(pair.byteCount)
  }

  /// Bytes a rank holds with this module in work and one as large read ahead: stored and widened values, and the Gram
  /// matrix twice or a copy in double precision.
  var memoryBytes: Int {
    let short = matrixShape?.min() ?? 0
    let widened = 4 * pair.elementCount
    return ModuleCost.processBytes + 2 * widened + pair.byteCount
      + max(16 * short * short, 8 * pair.elementCount)
  }
}

/// Why a model cannot be scanned as asked.
public enum ScanPlanError: Error, CustomStringConvertible, Equatable, Sendable {
  /// `--modules` names a type that the model does not have.
  case noSuchType(type: String, types: [String])
  /// There is no matrix to scan.
  case nothingToScan(path: String)
  /// A module does not fit a rank.
  case outOfMemory(module: String, neededBytes: Int, allowedBytes: Int)

  /// One sentence with what was found and the remedy.
  public var description: String {
    switch self {
    case .noSuchType(let type, let types):
      "--modules '\(type)' is none of the model's types: \(types.joined(separator: ", "))"
    case .nothingToScan(let path):
      "\(path): no linear layer among the tensors; name types with --modules"
    case .outOfMemory(let module, let needed, let allowed):
      "module '\(module)' needs \((needed + 999_999) / 1_000_000) MB on one rank, --memory-per-rank allows "
        + "\(allowed / 1_000_000) MB; start fewer ranks a machine, or leave it out with --modules"
    }
  }
}
