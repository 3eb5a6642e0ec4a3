internal import Foundation

/// mlx-lm's `adapter_config.json`.
struct MLXConfiguration: Encodable {
  let fineTuneType = "lora"
  let layerCount: Int
  let parameters: Parameters

  struct Parameters: Encodable {
    let rank: Int
    let scale: Double
    let dropout = 0.0
    let keys: [String]
  }

  /// Describes an adapter of some weights, all of one rank and scale.
  ///
  /// - Parameters:
  ///   - names: The weights, as mlx-lm calls them.
  ///   - rank: Of all factors.
  ///   - scale: What all products are multiplied by.
  ///   - layerCount: The model's layers, if they are known.
  init(names: [String], rank: Int, scale: Double, layerCount: Int?) {
    // Inside of a layer mlx-lm compares paths from the layer on, outside whole ones.
    let keys = Set(
      names.map { name in
        let path = ModulePath(name)
        return path.layer == nil ? name : path.rest
      })
    parameters = Parameters(rank: rank, scale: scale, keys: keys.sorted())
    // Counted from the last layer; any number below 1 means all.
    self.layerCount = layerCount ?? -1
  }

  func encoded() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self) + Data("\n".utf8)
  }

  private enum CodingKeys: String, CodingKey {
    case fineTuneType = "fine_tune_type"
    case layerCount = "num_layers"
    case parameters = "lora_parameters"
  }
}
