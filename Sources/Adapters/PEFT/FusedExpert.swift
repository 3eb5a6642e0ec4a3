/// One expert of a parameter that stacks the matrices of all experts of a layer, which PEFT adapts by `target_parameters`.
///
/// PEFT stores the factors of all E experts in one pair, each of rank r: row e·r + k of A and column k·E + e of B are component k
/// of expert e.
public struct FusedExpert: Sendable, Codable, Hashable {
  /// The path of the parameter as PEFT sees it: `model.layers.0.mlp.experts.gate_up_proj`.
  public let parameter: String
  /// What the names of its factors begin with: the path of the module that owns it.
  ///
  /// Wrappers of several parameters of a module nest in the order in which the module defines them, the first innermost,
  /// and each but the outermost adds `.base_layer`.
  public let wrapper: String
  /// Which expert, from 0.
  public let index: Int
  /// How many the parameter stacks.
  public let count: Int

  /// One of some experts.
  public init(parameter: String, wrapper: String, index: Int, count: Int) {
    precondition((0..<count).contains(index), "there is no such expert")
    self.parameter = parameter
    self.wrapper = wrapper
    self.index = index
    self.count = count
  }

  /// What the expert's matrix is called as a module: `model.layers.0.mlp.experts.gate_up_proj[3]`.
  public var path: String { "\(parameter)[\(index)]" }

  /// The rows of A with this expert's components, of rank r each.
  func rowsOfA(rank: Int) -> Range<Int> { index * rank..<(index + 1) * rank }

  /// The columns of B with this expert's components, ascending.
  func columnsOfB(rank: Int) -> [Int] { (0..<rank).map { $0 * count + index } }
}
