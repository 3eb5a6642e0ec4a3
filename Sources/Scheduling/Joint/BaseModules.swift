internal import Adapters
internal import Checkpoints
internal import WeightSources

/// The modules of a base model as PEFT sees them, from its headers.
struct BaseModules {
  /// The folder or file that was read.
  let path: String
  private let modules: [String: ModuleSelection.SelectedModule]
  private let naming: PEFTNaming
  private let taskType: String?
  /// Of all modules that own a tensor.
  private let allPaths: [String]

  /// Reads the headers and sees that the modules of a decomposition are there.
  ///
  /// - Throws: `JointAdapterError` if this is not the base model, `CheckpointError` if it is damaged.
  init(path: String, of record: JointRecord) throws {
    let checkpoint: Checkpoint
    do { checkpoint = try Checkpoint.open(path) } catch CheckpointError.notFound {
      throw JointAdapterError.noBase(path: path)
    }
    let modules = checkpoint.matrixModules
    for group in record.groups {
      let expected = group.isStoredTransposed ? group.shape.reversed() : group.shape
      for module in group.modules {
        let found = modules[module]?.pair.shape
        guard found == expected else {
          throw JointAdapterError.otherBase(path: path, module: module, expected: expected, found: found)
        }
      }
    }
    let configuration = try ModelConfiguration.read(modelPath: path)
    let naming = PEFTNaming(configuration: configuration, tensorNames: checkpoint.sortedNames)
    self.path = path
    self.modules = modules
    self.naming = naming
    taskType = Adapters.taskType(ofArchitecture: configuration?.architectures.first)
    allPaths = Set(
      checkpoint.tensors.values.map { tensor in
        naming.path(
          of: modulePath(ofTensor: tensor.name), role: ModuleRole(tensor: tensor.name, shape: tensor.shape))
      }
    ).sorted()
  }

  /// What an adapter's configuration says of this model.
  func description(_ baseName: String) -> PEFTAdapterWriter.Description {
    PEFTAdapterWriter.Description(
      baseModel: baseName, taskType: taskType, fanInFanOut: naming.usesConv1D, targets: .among(allPaths))
  }

  /// The modules that a decomposition does not have.
  func others(than record: JointRecord) -> [AdapterLayout.Module] {
    let decomposed = Set(record.groups.flatMap(\.modules))
    return modules.keys.filter { !decomposed.contains($0) }.sorted().map { module($0, rank: 0) }
  }

  /// A module of the decomposition as an adapter's file lays it out.
  func module(_ name: String, rank: Int) -> AdapterLayout.Module {
    guard let module = modules[name] else { preconditionFailure("the modules were seen to be there") }
    return naming.layoutModule(module, rank: rank)
  }
}

extension JointRecord {
  /// The number of a fine-tuned model.
  ///
  /// - Parameter text: Its path, the end of it, or its number; nil if there is one.
  /// - Returns: 0 for the first.
  /// - Throws: `ComponentError` if that is none of them, or says too little.
  func tunedIndex(_ text: String?) throws(ComponentError) -> Int {
    guard let text else {
      guard tuned.count == 1 else { throw .tunedMissing(known: tuned) }
      return 0
    }
    let named = tuned.indices.filter {
      tidyPath(tuned[$0]) == tidyPath(text) || tuned[$0].hasSuffix("/" + text)
    }
    if named.count == 1 { return named[0] }
    guard let number = Int(text), tuned.indices.contains(number) else {
      throw .unknownTuned(text: text, known: tuned)
    }
    return number
  }
}

/// Why the base model of a decomposition cannot be used.
public enum JointAdapterError: Error, CustomStringConvertible, Equatable, Sendable {
  /// It is not where it was.
  case noBase(path: String)
  /// It has other modules.
  case otherBase(path: String, module: String, expected: [Int], found: [Int]?)

  /// One sentence with the place, what was found and the remedy.
  public var description: String {
    switch self {
    case .noBase(let path):
      "\(path): the base model is no longer there; say with --base where it is (its headers are read, no weights)"
    case .otherBase(let path, let module, let expected, let found):
      "\(path): the weight of module '\(module)' "
        + (found.map { "has shape \($0)" } ?? "is missing")
        + " where the decomposition has \(expected); give its base model with --base"
    }
  }
}
