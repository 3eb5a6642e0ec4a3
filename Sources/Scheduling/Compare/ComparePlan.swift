internal import Adapters
public import Checkpoints
internal import Foundation
internal import LinearAlgebra
public import WeightSources

/// Everything that all ranks need to know to compare two models, made by one rank from the headers alone.
public struct ComparePlan: Sendable, Codable {
  /// What was asked for.
  public let request: CompareRequest
  /// The modules to compare, by name.
  public let modules: [ModuleSelection.SelectedModule]
  /// Whether each module is stored inputs × outputs, as embeddings and Conv1D are.
  public let isTransposed: [Bool]
  /// The files of both models, as they were when this was made.
  public let inputs: [InputFile]
  /// The modules in the order in which they are given out: the dearest first.
  public let units: [Int]

  /// Reads the headers of both models and chooses the modules.
  ///
  /// - Throws: `CheckpointError` or `SourceError` for whatever is wrong with the models or does not fit the request.
  public init(_ request: CompareRequest) throws {
    let base = try Checkpoint.open(request.basePath)
    let tuned = try Checkpoint.open(request.tunedPath)
    let configuration =
      try ModelConfiguration.read(modelPath: request.tunedPath)
      ?? ModelConfiguration.read(modelPath: request.basePath)
    let pairing = try Pairing(base: base, tuned: tuned, acceptsMixedTypes: request.acceptsMixedTypes)
    let selection = try ModuleSelection(
      pairing, tuned: tuned, isHeadTied: configuration?.isHeadTied(in: tuned) ?? false,
      options: request.selection)
    let modules = selection.modules
    self.request = request
    self.modules = modules
    let naming = PEFTNaming(configuration: configuration, tensorNames: tuned.sortedNames)
    isTransposed = modules.map { naming.layout(of: $0.name, role: $0.role) == .inputByOutput }
    inputs = try base.inputFiles() + tuned.inputFiles()
    let costs = modules.map { cost(ofShape: $0.pair.shape) }
    units = modules.indices.sorted { (costs[$1], $0) < (costs[$0], $1) }
  }

  /// What tells this job from others.
  public func identity(version: String) -> JobIdentity {
    let paths = [("BASE", request.basePath), ("TUNED", request.tunedPath)]
    let numbers = [("--directions", "\(request.directionCount)"), ("--epsilon", "\(request.cosineLimit)")]
    let flags = request.acceptsMixedTypes ? [("--mixed-dtypes", "on")] : []
    return JobIdentity(
      options: [("version", version)] + paths + request.selection.optionRows + numbers + flags,
      inputs: inputs,
      units: units.map { modules[$0].name }, circumstances: [("BLAS kernels", BLASLibrary.kernels)])
  }

  /// Each module's read and work.
  public var jobUnits: [JobUnit] {
    units.map { JobUnit(modules[$0].pair, cost: cost(ofShape: modules[$0].pair.shape)) }
  }

  /// Sees that a rank can hold the largest module.
  ///
  /// - Throws: `ScanPlanError.outOfMemory` if it cannot.
  public func checkMemory(_ resources: JobResources) throws(ScanPlanError) {
    for module in modules {
      let (count, short) = (module.pair.tuned.elementCount, module.pair.shape.min() ?? 0)
      // Both sides twice, one of them being read, and six more matrices of the difference or the Gram matrices.
      let needed = ModuleCost.processBytes + 4 * count * 4 + max(6 * 4 * count, 4 * 8 * short * short)
      guard needed <= resources.memoryPerRank else {
        throw .outOfMemory(module: module.name, neededBytes: needed, allowedBytes: resources.memoryPerRank)
      }
    }
  }
}

/// Operations of three Gram matrices and their eigenvalues, one with all vectors.
private func cost(ofShape shape: [Int]) -> Double {
  let (short, long) = (Double(shape.min() ?? 0), Double(shape.max() ?? 0))
  return 3 * long * short * short + 9 * short * short * short
}
