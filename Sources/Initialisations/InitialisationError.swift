public import Checkpoints

/// Why a model cannot be prepared for training as asked.
public enum InitialisationError: Error, CustomStringConvertible, Equatable, Sendable {
  /// A weight is stored in a type that PEFT does not initialise from.
  case unsuitableType(tensor: String, elementType: ElementType)
  /// The head shares its weight with the embedding, and a residual of one would be a residual of both.
  case tiedHead(module: String)
  /// Some experts of a layer were chosen, and others not.
  case someExperts(missing: String)
  /// An embedding was asked for.
  case embedding(module: String)
  /// The covariance file says nothing of a module.
  case noCovariance(module: String, path: String, example: String)
  /// A covariance has another shape than its module's inputs ask for.
  case covarianceShape(module: String, path: String, shape: [Int], inputCount: Int)
  /// A covariance that no inputs can have.
  case uselessCovariance(module: String, problem: String)
  /// An entry is beyond the range of the type it is stored in.
  case overflow(module: String, type: ElementType, value: Double)
  /// A module that a rank cannot hold.
  case outOfMemory(module: String, neededBytes: Int, allowedBytes: Int)

  /// Whether the command line is to blame rather than the data.
  public var isUsage: Bool {
    switch self {
    case .tiedHead, .embedding, .outOfMemory: true
    default: false
    }
  }

  /// One sentence with the place, what was found and the remedy.
  public var description: String {
    switch self {
    case .unsuitableType(let tensor, let type):
      "tensor '\(tensor)' is stored as \(type.rawValue); weights are initialised from F32, F16 and BF16: convert the "
        + "model, or leave it out with --exclude"
    case .tiedHead(let module):
      "module '\(module)' has the embedding's weight, and what is taken out of one would be missing in the other; "
        + "leave it out"
    case .someExperts(let missing):
      "module '\(missing)' is left out and others of its layer's experts are not: Transformers 5 fuses all of them, and PEFT "
        + "adapts all or none; choose them all, or leave them all out with --exclude"
    case .embedding(let module):
      "module '\(module)' is an embedding, and only linear layers and the head are initialised; leave it out"
    case .noCovariance(let module, let path, let example):
      "\(path): has no covariance for module '\(module)' (such as '\(example)'); choose modules that it has with "
        + "--targets or --include, or collect the others"
    case .covarianceShape(let module, let path, let shape, let count):
      "\(path): tensor '\(module)' is \(shape), but the module has \(count) inputs; give [\(count), \(count)]"
    case .uselessCovariance(let module, let problem):
      "the covariance of module '\(module)' \(problem); collect it again on more text"
    case .overflow(let module, let type, let value):
      "module '\(module)': \(value) does not fit \(type.rawValue); use --factor-dtype f32, or leave the module out"
    case .outOfMemory(let module, let needed, let allowed):
      "module '\(module)' needs \(megabytes(needed)) MB, and --memory-per-rank allows \(megabytes(allowed)) MB; start "
        + "fewer ranks a machine, allow more memory, or leave the module out"
    }
  }

  private func megabytes(_ count: Int) -> Int { (count + 999_999) / 1_000_000 }
}
