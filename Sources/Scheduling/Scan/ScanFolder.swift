internal import Analysis
internal import Checkpoints
internal import Foundation

/// Writes the files of a scan's folder.
///
/// They lie in it as the published tool leaves them in the folder it runs in, where axolotl looks for them.
struct ScanFolder {
  private let path: String
  /// What the names of the published tool's files begin with.
  private let baseName: String

  /// A folder that exists; the results are called by a model's slug, or as the file they were read from.
  init(path: String, baseName: String) {
    self.path = path
    self.baseName = baseName
  }

  /// Writes `model_snr_results/snr_results_<slug>.json`.
  func writeResults(_ ratios: LayerRatios) throws {
    let folder = path + "/model_snr_results"
    _ = try makeFolders(folder)
    try write(ratios.flatText, to: folder + "/\(baseName).json")
  }

  /// Writes the sorted file and the selection.
  func writeSelection(of ratios: LayerRatios, topPercent: Int) throws {
    try write(ratios.sortedText, to: path + "/\(baseName)_sorted.json")
    try write(
      ratios.selectionText(topPercent: topPercent),
      to: path + "/\(baseName)_unfrozenparameters_\(topPercent)percent.yaml")
  }

  private func write(_ text: String, to path: String) throws { try writeDurably(Data(text.utf8), to: path) }
}
