internal import WeightSources

/// One matrix of a parameter that is no layer's weight, which PEFT adapts by `target_parameters`: an expert of a stack of all
/// experts of a layer, or a router, which is a stack of one.
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
  public internal(set) var wrapper: String
  /// Which expert, from 0.
  public let index: Int
  /// How many the parameter stacks; 1 for a router.
  public let count: Int

  /// One of some experts.
  public init(parameter: String, wrapper: String, index: Int, count: Int) {
    precondition((0..<count).contains(index), "there is no such expert")
    self.parameter = parameter
    self.wrapper = wrapper
    self.index = index
    self.count = count
  }

  /// One of some experts of a parameter, alone on its module.
  public init(_ parameter: String, index: Int, count: Int) {
    self.init(parameter: parameter, wrapper: modulePath(ofTensor: parameter), index: index, count: count)
  }

  /// What the matrix is called as a module: `model.layers.0.mlp.experts.gate_up_proj[3]`, `model.layers.0.mlp.gate`.
  public var path: String { isRouter ? owner : "\(parameter)[\(index)]" }
  /// Whether it is a router, the one weight of its module.
  public var isRouter: Bool { count == 1 && parameter.hasSuffix(".weight") }
  /// The path of the module that owns the parameter.
  public var owner: String { modulePath(ofTensor: parameter) }

  /// The columns of B with this expert's components, ascending.
  func columnsOfB(rank: Int) -> [Int] { (0..<rank).map { $0 * count + index } }

  /// Parameters of one module as PEFT's wrappers nest around it, the outermost first.
  ///
  /// Every class defines what goes into an expert before what comes out of it.
  static func nested(_ parameters: Set<String>) -> [String] {
    parameters.sorted { (depth(of: $0) ?? -1, $1) < (depth(of: $1) ?? -1, $0) }
  }

  /// A number that is larger the further in a parameter's wrapper is; nil if that is not known.
  static func depth(of parameter: String) -> Int? {
    ["down_proj_bias", "down_proj", "up_proj", "gate_proj", "gate_up_proj_bias", "gate_up_proj"]
      .firstIndex { parameter.hasSuffix("." + $0) }
  }
}

/// Modules with the wrappers that PEFT puts around the parameters of these and no others.
///
/// - Throws: `AdapterError.unknownOrder` for one of several parameters of a module whose place among them is not known.
func nestingExperts(_ modules: [AdapterLayout.Module]) throws(AdapterError) -> [AdapterLayout.Module] {
  let parameters = Dictionary(grouping: modules.compactMap(\.expert), by: \.owner)
    .mapValues { FusedExpert.nested(Set($0.map(\.parameter))) }
  for nested in parameters.values.sorted(by: { $0[0] < $1[0] }) where nested.count > 1 {
    if let unknown = nested.first(where: { FusedExpert.depth(of: $0) == nil }) {
      throw .unknownOrder(parameter: unknown, others: nested.filter { $0 != unknown })
    }
  }
  return modules.map { module in
    guard let expert = module.expert, let depth = parameters[expert.owner]?.firstIndex(of: expert.parameter)
    else { return module }
    var nested = module
    nested.expert?.wrapper = expert.owner + String(repeating: ".base_layer", count: depth)
    return nested
  }
}
