/// Where an expert's matrix lies in a tensor that stacks those of all experts of a layer.
///
/// Each of them is a module as the layers of other models are: decomposed by itself, with singular values of its own.
public struct ExpertStackPlace: Sendable, Codable, Hashable {
  /// The tensor's name in the checkpoint, such as `model.layers.0.mlp.experts.gate_up_proj`.
  public let tensor: String
  /// Which expert, from 0.
  public let index: Int
  /// How many there are.
  public let count: Int

  /// The place of one of some experts.
  public init(tensor: String, index: Int, count: Int) {
    precondition((0..<count).contains(index), "there is no such expert")
    self.tensor = tensor
    self.index = index
    self.count = count
  }
}

/// Whether a module of this name is an expert of a stack: `model.layers.0.mlp.experts.gate_up_proj[3]`.
package func isInStack(_ module: String) -> Bool { module.hasSuffix("]") }
