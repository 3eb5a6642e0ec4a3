internal import Analysis

/// What a person asked for of a scan, checked as far as that goes without the model.
public struct ScanRequest: Sendable, Codable, Equatable {
  /// The model's folder or file; with a base, the fine-tuned one's.
  public var modelPath: String
  /// The model whose difference from this one is scanned; nil for the model's own weights.
  public var base: Base?
  /// What the files call it.
  public var modelName: String
  /// Types of modules; empty takes all linear layers, or with `isCompatible` all modules with a weight.
  public var types: [String]
  /// The percentage of each type's modules that is selected; nil for a difference, of which nothing is.
  public var topPercent: Int?
  /// Whether modules, types and numbers are those of the published tool.
  public var isCompatible: Bool

  /// The other side of a difference.
  public struct Base: Sendable, Codable, Equatable {
    /// The base model's folder or file.
    public var path: String
    /// Accept tensors stored in different types on the two sides.
    public var acceptsMixedTypes: Bool

    /// A base of given parts.
    public init(path: String, acceptsMixedTypes: Bool) {
      self.path = path
      self.acceptsMixedTypes = acceptsMixedTypes
    }
  }

  /// A request of given parts.
  ///
  /// - Throws: `ScanRequestError` for a percentage out of its range.
  public init(
    modelPath: String, base: Base?, modelName: String, types: [String], topPercent: Int?, isCompatible: Bool
  ) throws(ScanRequestError) {
    if let topPercent, !(0...100).contains(topPercent) { throw ScanRequestError(topPercent: topPercent) }
    self.modelPath = modelPath
    self.base = base
    self.modelName = modelName
    self.types = types
    self.topPercent = topPercent
    self.isCompatible = isCompatible
  }

  /// The model's name in the names of files.
  public var slug: String { LayerRatios.slug(ofModel: modelName) }

  /// What the folder is called if nobody says.
  public var folderName: String {
    "scan_\(slug)" + (base.map { "-minus-\(LayerRatios.slug(ofModel: $0.path))" } ?? "")
  }
}

/// A percentage on the command line that means nothing.
public struct ScanRequestError: Error, CustomStringConvertible, Equatable, Sendable {
  let topPercent: Int

  /// One sentence with the value and its range.
  public var description: String { "--top-percent is \(topPercent); give a whole number from 0 to 100" }
}
