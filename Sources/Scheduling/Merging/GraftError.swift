public import Checkpoints

/// Why layers of one model cannot take the place of another's.
public enum GraftError: ExitCoded, CustomStringConvertible, Equatable, Sendable {
  /// No tensor's name has a layer's number.
  case noLayers(path: String)
  /// A layer beyond the last one.
  case noSuchLayer(path: String, layer: Int, last: Int)
  /// A tensor of a chosen layer that one of the models does not have.
  case onlyInOne(tensor: String, path: String)
  /// A tensor of a chosen layer with two shapes or types.
  case different(tensor: String, base: [Int], baseType: ElementType, tuned: [Int], tunedType: ElementType)
  /// Two configurations that are not of one architecture.
  case otherArchitecture(base: String, tuned: String, field: String, baseValue: String, tunedValue: String)

  /// The code this error ends a job with.
  public var exitCode: ExitCode { if case .noSuchLayer = self { .usage } else { .badInput } }

  /// One sentence with the place, what was found and the remedy.
  public var description: String {
    switch self {
    case .noLayers(let path):
      "\(path): no tensor's name has the number of a layer in it; graft takes whole layers"
    case .noSuchLayer(let path, let layer, let last):
      "\(path): there is no layer \(layer), the last one is \(last); numbers begin at 0, and a range has both its ends"
    case .onlyInOne(let tensor, let path):
      "tensor '\(tensor)' is in \(path) only; graft needs two models of one architecture"
    case .different(let tensor, let base, let baseType, let tuned, let tunedType):
      "tensor '\(tensor)' is \(baseType.rawValue) \(base) in the base model and \(tunedType.rawValue) \(tuned) in the "
        + "fine-tuned one; graft copies tensors as they are, so convert one of the models first"
    case .otherArchitecture(let base, let tuned, let field, let baseValue, let tunedValue):
      "\(tuned): its config.json says \(field) is \(tunedValue), and that of \(base) says \(baseValue); graft needs two "
        + "models of one architecture"
    }
  }
}
