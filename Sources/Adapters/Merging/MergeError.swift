public import Checkpoints

/// Why adapters cannot be added to a model.
public enum MergeError: Error, CustomStringConvertible, Equatable, Sendable {
  /// An adapted module that the model does not have.
  case noSuchModule(adapter: String, module: String, model: String, example: String)
  /// A module whose weight has another shape than the factors' product.
  case otherShape(adapter: String, module: String, update: [Int], tensor: String, shape: [Int])
  /// A tensor stored whole that the model does not have.
  case noSuchTensor(adapter: String, tensor: String, model: String)
  /// A tensor stored whole with another shape than the model's.
  case otherSavedShape(adapter: String, tensor: String, saved: [Int], shape: [Int])
  /// A change of a bias that the model does not have.
  case noBias(adapter: String, module: String)
  /// A weight in a type that is not written.
  case unwritable(tensor: String, elementType: ElementType)
  /// A weight that is no finite number after the sum.
  case notFinite(tensor: String, row: Int, column: Int, elementType: ElementType)
  /// A weight that is no finite number before the sum.
  case damaged(file: String, tensor: String, row: Int, column: Int, value: Float)
  /// A changed tensor that only one of two models has, or that has two shapes.
  case notInBoth(tensor: String)
  /// A parameter of fused experts that has another number of them in the model.
  case otherExperts(adapter: String, parameter: String, count: Int, tensor: String, found: Int)

  /// One sentence with the place, what was found and the remedy.
  public var description: String {
    switch self {
    case .noSuchModule(let adapter, let module, let model, let example):
      "\(adapter): adapts module '\(module)', which \(model) does not have (it has '\(example)'); "
        + "give the model that the adapter was trained on"
    case .otherShape(let adapter, let module, let update, let tensor, let shape):
      "\(adapter): the update of module '\(module)' is \(update), and '\(tensor)' of the model is \(shape); "
        + "give the model that the adapter was trained on"
    case .noSuchTensor(let adapter, let tensor, let model):
      "\(adapter): stores '\(tensor)', which \(model) does not have; give the model that the adapter was trained on"
    case .otherSavedShape(let adapter, let tensor, let saved, let shape):
      "\(adapter): stores '\(tensor)' of shape \(saved), and the model's is \(shape); resize the model's "
        + "vocabulary first, or give the model that the adapter was trained on"
    case .noBias(let adapter, let module):
      "\(adapter): changes the bias of module '\(module)', which has none in the model; give the model that the "
        + "adapter was trained on"
    case .unwritable(let tensor, let elementType):
      "tensor '\(tensor)' is stored as \(elementType.rawValue), and changed weights are written as F32, BF16 and "
        + "F16; convert the model first"
    case .notFinite(let tensor, let row, let column, let elementType):
      "tensor '\(tensor)' would be no finite \(elementType.rawValue) number at [\(row), \(column)]; "
        + "give the adapter a smaller weight, or a model in a wider type"
    case .damaged(let file, let tensor, let row, let column, let value):
      "\(file): tensor '\(tensor)' is \(value) at [\(row), \(column)], which makes no model; get the file again"
    case .notInBoth(let tensor):
      "the adapter changes '\(tensor)', which is not in both models with one shape; give the fine-tune of this base"
    case .otherExperts(let adapter, let parameter, let count, let tensor, let found):
      "\(adapter): adapts \(count) experts of '\(parameter)', and the model has \(found) ('\(tensor)'); give the model "
        + "that the adapter was trained on, and the r and rank_pattern that belong to the factors"
    }
  }
}
