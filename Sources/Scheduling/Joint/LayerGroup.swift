public import WeightSources

/// Modules whose differences are decomposed together: as a rule those of one type in all layers.
public struct LayerGroup: Sendable, Codable {
  /// Its name: what follows the layer's number in the modules' paths, or the pattern that made it.
  public let name: String
  /// Module paths, by layer.
  public let modules: [String]
  /// Outputs and inputs of each.
  public let shape: [Int]
  /// Whether the checkpoints store inputs × outputs.
  public let isStoredTransposed: Bool
  /// For each fine-tuned model, its tensors in the order of `modules`.
  public let pairs: [[TensorPair]]
  /// Length of the outputs' basis, or the number of components; nil if a tolerance decides.
  public internal(set) var outRank: Int?
  /// Length of the inputs' basis, likewise.
  public internal(set) var inRank: Int?
  /// Length of the layers' basis; nil if layers are left whole.
  public internal(set) var layerRank: Int?
  /// The side of the basis of `shared`.
  public internal(set) var side: JointRequest.Side?

  /// Bytes to read from all models for one look at every slice.
  public var byteCount: Int { pairs.joined().reduce(0) { $0 + $1.byteCount } }
  /// Slices: layers of all fine-tuned models.
  public var sliceCount: Int { modules.count * pairs.count }
}

/// Modules that come from one layer or belong to no layer come by number, then by name.
func isBefore(_ one: String, _ other: String) -> Bool {
  let (first, second) = (LayerPlace(module: one).layer ?? -1, LayerPlace(module: other).layer ?? -1)
  return (first, one) < (second, other)
}

/// The side of a module that all layers share, the residual stream, from what modules of that name are for.
///
/// - Parameters:
///   - module: The module's path.
///   - shape: Outputs and inputs.
///   - hiddenSize: The length of the residual stream, if the configuration says.
/// - Returns: The side; the shorter one, or the inputs, where nothing tells.
func residualSide(ofModule module: String, shape: [Int], hiddenSize: Int?) -> JointRequest.Side {
  let last = module.split(separator: ".").last.map(String.init) ?? module
  if readers.contains(last) { return .in }
  if writers.contains(last) { return .out }
  if let hiddenSize, shape[0] != shape[1], shape.contains(hiddenSize) {
    return shape[1] == hiddenSize ? .in : .out
  }
  return shape[0] < shape[1] ? .out : .in
}

/// Last names of modules that read the residual stream.
private let readers: Set = [
  "q_proj", "k_proj", "v_proj", "qkv_proj", "gate_proj", "up_proj", "gate_up_proj", "query", "key", "value",
  "query_key_value", "c_attn", "c_fc", "fc1", "fc_in", "w1", "w3", "wq", "wk", "wv", "dense_h_to_4h",
]

/// Last names of modules that write to it.
private let writers: Set = [
  "o_proj", "out_proj", "down_proj", "c_proj", "fc2", "fc_out", "w2", "wo", "dense_4h_to_h",
]
