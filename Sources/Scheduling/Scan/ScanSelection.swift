internal import Analysis
internal import Foundation

/// A selection from the results of an earlier scan, without the model.
public struct ScanSelection {
  private let ratios: LayerRatios
  private let baseName: String
  private let topPercent: Int

  /// Reads a file of results.
  ///
  /// - Throws: `LayerRatiosError` or `CheckpointError` if it is none.
  public init(path: String, topPercent: Int) throws {
    ratios = try LayerRatios(path: path)
    let name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
    baseName = name.hasSuffix("_sorted") ? String(name.dropLast("_sorted".count)) : name
    self.topPercent = topPercent
  }

  /// Writes the sorted results and the selection, and lets the folder appear.
  public func publish(into folder: OutputFolder) throws {
    try folder.publishing {
      try ScanFolder(path: folder.contentsPath, baseName: baseName).writeSelection(
        of: ratios, topPercent: topPercent)
    }
  }
}
