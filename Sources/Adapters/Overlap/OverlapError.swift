/// Why two folders cannot be compared, or one not be taken out of the other.
public enum OverlapError: Error, CustomStringConvertible, Equatable, Sendable {
  /// They have no module in common.
  case nothingInCommon(first: String, second: String, firstExample: String, secondExample: String)
  /// A module has different shapes.
  case otherShape(module: String, first: [Int], second: [Int], firstPath: String, secondPath: String)
  /// A decomposition of several fine-tuned models without the number of one.
  case whichTuned(path: String, tuned: [String])

  /// Whether the command line is to blame rather than the data.
  public var isUsage: Bool { if case .whichTuned = self { true } else { false } }

  /// One sentence with the place, what was found and the remedy.
  public var description: String {
    switch self {
    case .nothingInCommon(let first, let second, let firstExample, let secondExample):
      "\(first) and \(second) have no module in common: the first has '\(firstExample)', the second "
        + "'\(secondExample)'; give two of one base model"
        + ([firstExample, secondExample].contains { $0.contains(".experts.") }
          ? ", with its experts as modules in both or fused in both" : "")
    case .otherShape(let module, let first, let second, let firstPath, let secondPath):
      "module '\(module)' is \(first[0]) × \(first[1]) in \(firstPath) and \(second[0]) × \(second[1]) in "
        + "\(secondPath); give two of one base model"
    case .whichTuned(let path, let tuned):
      "\(path): holds \(tuned.count) fine-tuned models (\(tuned.joined(separator: ", "))); give '\(path)#0' for the "
        + "first, and so on"
    }
  }
}
