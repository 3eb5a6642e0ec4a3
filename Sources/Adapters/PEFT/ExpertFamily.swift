/// What the matrices of fused experts are called where each expert has modules of its own.
///
/// Transformers fuses such modules while it loads a model, and takes them apart again when it saves one.
struct ExpertFamily {
  /// The path of a layer's experts, with the layer's path before it.
  private let container: String
  private let gate: String
  private let up: String
  private let down: String

  private init(_ container: String, gate: String, up: String, down: String) {
    self.container = container
    self.gate = gate
    self.up = up
    self.down = down
  }

  private static let mixtral = ExpertFamily("block_sparse_moe.experts", gate: "w1", up: "w3", down: "w2")
  private static let qwen = ExpertFamily(
    "mlp.experts", gate: "gate_proj", up: "up_proj", down: "down_proj")

  /// All that are known.
  static let all = [
    qwen, mixtral, ExpertFamily("feed_forward.experts", gate: "gate_proj", up: "up_proj", down: "down_proj"),
    ExpertFamily("feed_forward.experts", gate: "w1", up: "w3", down: "w2"),
  ]

  /// The family of a model; nil for one whose fused experts consumers do not take apart.
  ///
  /// Families whose gate and up alternate (gpt_oss) are not among them.
  init?(modelType: String?) {
    switch modelType {
    case "mixtral": self = .mixtral
    case "qwen2_moe", "qwen3_moe", "olmoe": self = .qwen
    default: return nil
    }
  }

  /// The module that a router's only matrix is the weight of.
  func router(_ parameter: FusedExpert) -> String {
    let path = parameter.owner.split(separator: ".")
    guard let layer = path.firstIndex(where: { Int($0) != nil }), let name = path.last else {
      return parameter.owner
    }
    return (path[...layer] + container.split(separator: ".").dropLast() + [name]).joined(separator: ".")
  }

  /// The modules whose weights, one below the other, are an expert's matrix; none if no such family has the parameter.
  func modules(ofExpert index: Int, in parameter: String) -> [String] {
    let path = parameter.split(separator: ".")
    guard let layer = path.firstIndex(where: { Int($0) != nil }) else { return [] }
    let names =
      switch path.last {
      case "gate_up_proj": [gate, up]
      case "down_proj": [down]
      default: [String]()
      }
    let prefix = path[...layer].joined(separator: ".") + "." + container
    return names.map { "\(prefix).\(index).\($0)" }
  }
}
